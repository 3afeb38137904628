"""What one check says: an answer in a line, and for each thing that is wrong what was asked, answered, and to do."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from flyball.cluster.doctor.expected import ExpectedService
from flyball.cluster.doctor.facts import ClusterFacts
from flyball.cluster.doctor.resource import Resource
from flyball.lint.finding import Severity

State: TypeAlias = Literal["ok", "warning", "broken", "not reached"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """One thing that is wrong on the live cluster. An error breaks the chain at this link; a warning risks it."""

    severity: Severity
    place: str
    """The object, or what else answered: `Node gpu-1`, `Prometheus`."""
    asked: str
    answered: str
    fix: str


def broken(place: str, *, asked: str, answered: str, fix: str) -> Symptom:
    return Symptom(severity="error", place=place, asked=asked, answered=answered, fix=fix)


def risky(place: str, *, asked: str, answered: str, fix: str) -> Symptom:
    return Symptom(severity="warning", place=place, asked=asked, answered=answered, fix=fix)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The outcome of one check."""

    answer: str
    """What holds at this link, in one line; shown unless something is broken."""
    symptoms: Sequence[Symptom] = ()
    is_known: bool = True
    """False: the question makes no sense yet, or could not be asked; `answer` says why."""

    @property
    def state(self) -> State:
        if not self.is_known:
            return "not reached"
        severities = {symptom.severity for symptom in self.symptoms}
        return "broken" if "error" in severities else "warning" if severities else "ok"


Check: TypeAlias = Callable[[ClusterFacts, ExpectedService], Checked]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One link of the chain."""

    id: str
    asks: str
    """The question, as a sentence."""
    check: Check
    needs: tuple[str, ...] = ()
    """Links without which there is no sense in asking."""
    reads: tuple[Resource, ...] = ()
    """What has to be readable to know the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkResult:
    """A link with its mark."""

    id: str
    asks: str
    state: State
    answer: str
    """The answer, or why there is none."""
    symptoms: Sequence[Symptom] = ()
