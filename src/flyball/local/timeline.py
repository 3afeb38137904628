"""What happened to a fleet and when: samples, events and decisions, in seconds from the fleet's start."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from flyball.scaling import Decision

ReplicaState = Literal["starting", "ready", "restarting", "draining", "gone"]

EventKind = Literal[
    "starting", "ready", "start-failed", "crashed", "killed", "scale", "drain", "drained", "gateway", "phase", "stop"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetEvent:
    """One thing that happened. `replica` names whom, where it is about one."""

    t_s: float
    kind: EventKind
    text: str
    replica: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSample:
    """One replica at one moment. The engine's figures are None while it cannot be asked."""

    name: str
    state: ReplicaState
    running: float | None = None
    waiting: float | None = None
    kv_cache_usage: float | None = None
    generation_tokens: float | None = None
    """Tokens generated since the engine started."""
    ttft_sum_s: float | None = None
    ttft_count: float | None = None

    @property
    def in_system(self) -> float | None:
        if self.running is None or self.waiting is None:
            return None
        return self.running + self.waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSample:
    """The fleet at one moment."""

    t_s: float
    desired: int
    replicas: tuple[ReplicaSample, ...]

    @property
    def ready(self) -> int:
        return sum(replica.state == "ready" for replica in self.replicas)

    @property
    def running(self) -> float:
        return sum(replica.running or 0.0 for replica in self.replicas)

    @property
    def waiting(self) -> float:
        return sum(replica.waiting or 0.0 for replica in self.replicas)

    @property
    def in_system(self) -> float:
        return self.running + self.waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """One decision of the law. `signal` is what all replicas reported together, None when it could not be read."""

    t_s: float
    decision: Decision
    signal: float | None


@dataclass(slots=True)
class Timeline:
    """Everything recorded so far. Appended to by the fleet; read by the view, the proof and the report."""

    samples: list[FleetSample] = field(default_factory=list)
    events: list[FleetEvent] = field(default_factory=list)
    syncs: list[Sync] = field(default_factory=list)
    keep: int | None = None
    """Samples and syncs kept; None keeps all. A fleet that runs for weeks keeps the last hour or so."""

    def add_sample(self, sample: FleetSample) -> None:
        self.samples.append(sample)
        if self.keep is not None:
            del self.samples[: -self.keep]

    def add_sync(self, sync: Sync) -> None:
        self.syncs.append(sync)
        if self.keep is not None:
            del self.syncs[: -self.keep]

    def add_event(self, event: FleetEvent) -> None:
        self.events.append(event)
        if self.keep is not None:
            del self.events[: -self.keep]

    def tokens_per_s(self, span_s: float = 5.0) -> float:
        """Generated tokens per second over the last `span_s` seconds."""
        return self._rate("generation_tokens", span_s)

    def mean_ttft_s(self, span_s: float = 30.0) -> float | None:
        """Mean TTFT, as the engines saw it, of the first tokens of the last `span_s` seconds."""
        count = self._rate("ttft_count", span_s)
        return self._rate("ttft_sum_s", span_s) / count if count > 0 else None

    def _rate(self, counter: Literal["generation_tokens", "ttft_count", "ttft_sum_s"], span_s: float) -> float:
        if len(self.samples) < 2:
            return 0.0
        end = self.samples[-1].t_s
        recent = [sample for sample in self.samples if sample.t_s >= end - span_s]
        if len(recent) < 2:
            recent = self.samples[-2:]
        total = sum(_increase(before, after, counter) for before, after in pairwise(recent))
        return total / (recent[-1].t_s - recent[0].t_s)


def _increase(before: FleetSample, after: FleetSample, counter: str) -> float:
    """How much a counter rose between two samples, over the replicas in both. A restart reads as a start from 0."""
    earlier = {replica.name: getattr(replica, counter) for replica in before.replicas}
    rise = 0.0
    for replica in after.replicas:
        now, then = getattr(replica, counter), earlier.get(replica.name)
        if now is not None and then is not None:
            rise += now - then if now >= then else now
    return rise
