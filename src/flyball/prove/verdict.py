"""The answer of `prove`: each criterion with its numbers, and all that they were computed from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from flyball.local.timeline import Timeline
from flyball.measurement import RequestRecord
from flyball.spec import ServingSpec

TITLES = {
    1: "A real answer to a real question",
    2: "Baseline load within the objective",
    3: "A step that one replica cannot hold",
    4: "The fleet scales out with nobody touching it",
    5: "The objective holds again on all replicas",
    6: "Back to the minimum without breaking a stream",
    7: "A replica killed under load",
    8: "Nothing left running",
}
"""What is to be proven, by number."""

PhaseName = Literal["start", "answer", "baseline", "capacity", "step", "hold", "kill", "scale back", "stop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One thing that was to be proven. `passed` None: the run ended before it came to that."""

    number: int
    passed: bool | None
    finding: str
    """One sentence with the numbers."""
    numbers: Mapping[str, float | int | str | None]
    """The same, for machines; times in seconds from the fleet's start."""

    @property
    def title(self) -> str:
        return TITLES[self.number]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """All criteria, in order."""

    criteria: tuple[Criterion, ...]

    @property
    def passed(self) -> bool:
        return bool(self.criteria) and all(criterion.passed for criterion in self.criteria)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of the run, in seconds from the fleet's start."""

    name: PhaseName
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRun:
    """One load and its outcome. `records` count their times from the fleet's start, as everything here does."""

    name: str
    phase: PhaseName
    rate: float | None
    """Requests per second of an open loop; None for a closed one."""
    concurrency: int | None
    start_s: float
    end_s: float
    records: tuple[RequestRecord, ...]


@dataclass(slots=True)
class Evidence:
    """What a proof gathers while it runs; whoever owns it still has it when the run is interrupted."""

    timeline: Timeline = field(default_factory=Timeline)
    criteria: list[Criterion] = field(default_factory=list)
    loads: list[LoadRun] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)
    signal_target: float = 0.0

    def verdict(self) -> Verdict:
        """Every criterion in order; one that the run did not come to is not reached."""
        judged = {criterion.number: criterion for criterion in self.criteria}
        return Verdict(
            criteria=tuple(
                judged.get(number) or Criterion(number=number, passed=None, finding="not reached", numbers={})
                for number in TITLES
            )
        )

    def proof(self, spec: ServingSpec, provenance: Mapping[str, str]) -> "Proof":
        """All of it, as it stands."""
        return Proof(
            spec=spec,
            verdict=self.verdict(),
            phases=tuple(self.phases),
            loads=tuple(self.loads),
            timeline=self.timeline,
            signal_target=self.signal_target,
            provenance=provenance,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A finished run: what was asked, what happened, what follows."""

    spec: ServingSpec
    verdict: Verdict
    phases: tuple[Phase, ...]
    loads: tuple[LoadRun, ...]
    timeline: Timeline
    signal_target: float
    """The scaling signal per replica that the fleet aimed at."""
    provenance: Mapping[str, str]
    """Versions, seed, machine, start time: what a repetition needs."""
