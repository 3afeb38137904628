"""Walks the chain over what a cluster answered, and names its first broken link."""

from collections.abc import Sequence
from dataclasses import dataclass

from flyball.cluster.doctor.chain import CHAIN
from flyball.cluster.doctor.expected import ExpectedService
from flyball.cluster.doctor.facts import ClusterFacts
from flyball.cluster.doctor.symptom import Link, LinkResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Every link with its mark, in the chain's order."""

    links: Sequence[LinkResult]
    is_complete: bool
    """Whether the API server answered to the end."""

    @property
    def first_broken(self) -> LinkResult | None:
        return next((link for link in self.links if link.state == "broken"), None)

    @property
    def is_sound(self) -> bool:
        """Everything was reached and holds; warnings are allowed."""
        return all(link.state in ("ok", "warning") for link in self.links)


def walk(facts: ClusterFacts, expected: ExpectedService, chain: Sequence[Link] = CHAIN) -> Walk:
    """Each link's result. A link is not reached if one that it needs is broken or unknown, or if it may not be read."""
    results: dict[str, LinkResult] = {}
    for link in chain:
        results[link.id] = _result(link, facts, expected, results)
    return Walk(links=tuple(results.values()), is_complete=not facts.failure)


def _result(link: Link, facts: ClusterFacts, expected: ExpectedService, before: dict[str, LinkResult]) -> LinkResult:
    missing = next((need for need in link.needs if before[need].state in ("broken", "not reached")), None)
    if missing is not None:
        return LinkResult(id=link.id, asks=link.asks, state="not reached", answer=f"needs {missing}")
    unread = next((resource for resource in link.reads if resource in facts.unread), None)
    if unread is not None:
        answer = f"cannot list {unread.label}: {facts.unread[unread]}"
        return LinkResult(id=link.id, asks=link.asks, state="not reached", answer=answer)
    found = link.check(facts, expected)
    return LinkResult(
        id=link.id, asks=link.asks, state=found.state, answer=found.answer, symptoms=tuple(found.symptoms)
    )
