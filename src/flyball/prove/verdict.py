"""The answer of `prove`: each criterion with its numbers, and all that they were computed from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from flyball.local.timeline import Timeline
from flyball.measurement import RequestRecord
from flyball.spec import ServingSpec

PhaseName = Literal["start", "answer", "baseline", "capacity", "step", "hold", "kill", "scale back", "stop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One thing that was to be proven. `passed` None: the run ended before it came to that."""

    number: int
    title: str
    passed: bool | None
    finding: str
    """One sentence with the numbers."""
    numbers: Mapping[str, float | int | str | None]
    """The same, for machines; times in seconds from the fleet's start."""


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
