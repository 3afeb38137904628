"""`Trial`: one set of flags, started and measured, or the reason why it could not be. Values only."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from flyball.spec import FlagValue
from flyball.tune.rate_search import Bracket, Estimate, Tried, bracket
from flyball.tune.sequential import Verdict

Flags = Mapping[str, FlagValue]
"""The flags that are tuned, by vLLM's names."""

HEAVY_PREEMPTION = 0.1
"""Preemptions per request from which on a set of flags is refused: each one computes a prompt and its answer again."""

CROWDED = 0.1
"""Share of waiting for a processor from which on it is told."""


def crowding(waited: float | None) -> str:
    """For people, of a share of waiting that is worth telling; else empty."""
    return f"waited {waited:.0%} for a processor" if waited is not None and waited >= CROWDED else ""


def label(flags: Flags) -> str:
    """For people: `max_num_seqs 64, max_num_batched_tokens 8192`."""
    return ", ".join(f"{name} {value}" for name, value in flags.items()) or "the engine's defaults"


def key(flags: Flags) -> tuple[tuple[str, FlagValue], ...]:
    """What makes two sets the same."""
    return tuple(sorted(flags.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What was predicted for a trial before it: the rate that it holds, and the interval of one standard deviation."""

    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One load at one rate."""

    round: int
    """Searches of one trial, from 0; each has its own requests."""
    rate: float
    verdict: Verdict
    requests: int
    """Judged by the sequential test."""
    attainment: float | None
    """The share of requests that met every bound."""
    measured_s: Mapping[str, float | None]
    """By objective, as `ttft p95`; None where failures reach down to the percentile."""
    preemptions: int | None
    thrown_away: int
    """Loads at this rate that did not count, since the client was late itself."""
    seconds: float
    records: str
    """The file of its requests, in the trial's folder."""
    missed: tuple[str, ...] = ()
    """The objectives that it missed, named as in `measured_s`."""
    at_once: int | None = None
    """The most requests that the engine had at once, waiting ones included."""
    waited: float | None = None
    """How long engine and client waited for a processor, of all processors' time; None for an engine elsewhere."""

    @property
    def goodput(self) -> float:
        """Requests per second that met every bound."""
        return self.rate * (self.attainment or 0.0)

    def __str__(self) -> str:
        latencies = (
            f"{name} {'failed' if value is None else f'{value * 1000:,.0f} ms'}"
            for name, value in self.measured_s.items()
        )
        preempted = f", {self.preemptions} preemptions" if self.preemptions else ""
        said = f"{self.requests} requests, {', '.join(latencies)}{preempted}"
        return f"{self.rate:.3g}/s {self.verdict}: {', '.join(filter(None, (said, crowding(self.waited))))}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a set of flags is out of the question, in the engine's own words where it has any."""

    kind: Literal["start", "preemption", "nothing holds", "client"]
    cause: str
    evidence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One start of the engine. Trial 0 has the flags that the spec began with."""

    number: int
    flags: Flags
    why: str
    expected: Expected | None
    start_s: float
    seconds: float
    """From its beginning to its end, start included."""
    probes: tuple[Probe, ...] = ()
    refusal: Refusal | None = None
    vllm: str | None = None
    """The version of the engine; None if it was not told."""
    e2e_p95_s: float | None = None
    """What the usual recipe looks at; None where that was not the question."""

    @property
    def brackets(self) -> tuple[Bracket, ...]:
        rounds = sorted({probe.round for probe in self.probes})
        return tuple(
            bracket([Tried(rate=p.rate, held=p.verdict == "held") for p in self.probes if p.round == number])
            for number in rounds
        )

    @property
    def estimate(self) -> Estimate:
        """The rate that it holds; 0 if it was refused."""
        if self.refusal is not None or not self.probes:
            return Estimate(rate=0.0, error=0.0, rounds=0)
        return Estimate.of(self.brackets, waited=self.waited or 0.0)

    @property
    def waited(self) -> float | None:
        """As of its loads, by their seconds."""
        known = [(probe.waited, probe.seconds) for probe in self.probes if probe.waited is not None]
        return (
            sum(share * seconds for share, seconds in known) / sum(seconds for _, seconds in known) if known else None
        )

    @property
    def best_probe(self) -> Probe | None:
        """The highest rate that held."""
        return max((p for p in self.probes if p.verdict == "held"), key=lambda probe: probe.rate, default=None)

    @property
    def goodput(self) -> float:
        """Requests per second that met every bound: of the rate that it holds, the share at the highest that held."""
        return self.estimate.rate * (self.best_probe.attainment or 0.0) if self.best_probe else 0.0

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def trial_from_dict(row: Mapping[str, Any]) -> Trial:
    """What `to_dict` wrote. Raises KeyError or TypeError for anything else."""
    return Trial(
        **{
            **row,
            "expected": None if row["expected"] is None else Expected(**row["expected"]),
            "probes": tuple(Probe(**{**probe, "missed": tuple(probe.get("missed", ()))}) for probe in row["probes"]),
            "refusal": None if row["refusal"] is None else Refusal(**row["refusal"]),
        }
    )
