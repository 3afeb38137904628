"""A proof that nobody ran: a small queueing model of a fleet, driven through the phases of a proof in virtual time.

It stands in for the minutes that a real proof takes where the page is what is tested. The HPA law and the judging are
the real ones.
`python tests/synthetic_proof.py FILE` writes its page.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flyball.local.timeline import EventKind, FleetEvent, FleetSample, ReplicaSample, ReplicaState, Sync, Timeline
from flyball.measurement import Outcome, RequestRecord
from flyball.prove import judging
from flyball.prove.holding import HoldSearch
from flyball.prove.verdict import Criterion, LoadRun, Phase, PhaseName, Proof, Verdict
from flyball.report import proof_page
from flyball.scaling import (
    ExternalMetric,
    ExternalSamples,
    MetricTarget,
    Observation,
    PodStatus,
    ScalingBehavior,
    ScalingPolicy,
    ScalingRules,
    ScalingState,
    record_scale,
    step,
)
from flyball.scaling.policy import DEFAULT_SCALE_DOWN, DEFAULT_SCALE_UP
from flyball.spec import ServingSpec, parse_model

TICK_S, SLOTS, PREFILL_S, START_S, SYNC_S, TARGET = 0.1, 4, 0.35, 17.0, 5.0, 3.0
SPEC = """
name: local
model: {id: HuggingFaceTB/SmolLM2-135M-Instruct}
slo: {ttft: {p95: 4s}, tpot: {p95: 400ms}}
workload:
  arrivals: {poisson: 0.5}
  prompt_tokens: {lognormal: {mu: 4.0, sigma: 0.4, min: 16, max: 160}}
  output_tokens: {lognormal: {mu: 3.5, sigma: 0.3, min: 16, max: 64}}
scaling: {min: 1, max: 3}
engine: {max_num_seqs: 4, max_model_len: 1024}
"""


@dataclass(slots=True, eq=False)
class Request:
    load: str
    index: int
    intended_s: float
    tokens: int
    first_s: float = 0.0
    times: list[float] = field(default_factory=list)
    done: float = 0.0


@dataclass(slots=True, eq=False)
class Engine:
    name: str
    ready_at_s: float
    state: ReplicaState = "starting"
    running: list[Request] = field(default_factory=list)
    waiting: list[Request] = field(default_factory=list)
    generated: int = 0


class Fleet:
    """Engines with a few slots each, a queue before each, and the HPA law above them."""

    def __init__(self, spec: ServingSpec, seed: int) -> None:
        self.spec, self.random = spec, np.random.default_rng(seed)
        self.timeline, self.now, self.desired = Timeline(), 0.0, 0
        self.engines: list[Engine] = []
        self.records: dict[str, list[RequestRecord]] = {}
        self.closed: dict[str, tuple[int, int]] = {}  # load to (clients, tokens)
        self.rates: dict[str, float] = {}
        self.sent: dict[str, int] = {}
        self.state, self.ticks = ScalingState(), 0
        down = ScalingRules(stabilization_window_s=20, policies=DEFAULT_SCALE_DOWN.policies)
        up = ScalingRules(stabilization_window_s=0, policies=DEFAULT_SCALE_UP.policies)
        self.policy = ScalingPolicy(
            min_replicas=spec.scaling.min,
            max_replicas=spec.scaling.max,
            metrics=(ExternalMetric("in_system", MetricTarget("AverageValue", round(TARGET * 1000))),),
            behavior=ScalingBehavior(scale_up=up, scale_down=down),
            sync_period_s=SYNC_S,
        )
        self.scale(spec.scaling.min)

    def note(self, kind: EventKind, text: str, replica: str | None = None) -> None:
        self.timeline.add_event(FleetEvent(t_s=self.now, kind=kind, text=text, replica=replica))

    def scale(self, desired: int) -> None:
        if desired != self.desired:
            self.note("scale", f"replicas {self.desired} → {desired}")
        staying = [engine for engine in self.engines if engine.state != "draining"]
        for number in range(desired - len(staying)):
            start_s = START_S * self.random.uniform(0.9, 1.1) + 4 * number
            self.engines.append(Engine(f"r{len(self.engines) + 1}", self.now + start_s))
        for engine in staying[desired:]:
            engine.state = "draining"
            self.note("drain", f"{engine.name} draining", engine.name)
        self.desired = desired

    def kill(self, engine: Engine) -> None:
        self.note("killed", f"{engine.name} got SIGKILL", engine.name)
        self.note("crashed", f"{engine.name} ended unexpectedly (SIGKILL)", engine.name)
        for request in engine.running:
            if request.times:
                self._end(request, "cut")
        moved = [request for request in engine.running + engine.waiting if not request.times]
        engine.running, engine.waiting, engine.generated = [], [], 0
        engine.state, engine.ready_at_s = "restarting", self.now + START_S
        for request in moved:
            self._route(request)

    def send(self, load: str, tokens: int | None = None) -> None:
        drawn = int(np.clip(self.random.lognormal(3.5, 0.3), 16, 64))
        index = self.sent[load] = self.sent.get(load, -1) + 1
        self._route(Request(load, index, self.now, tokens or drawn))

    def run(self, until: Callable[[], bool], longest_s: float = 200.0) -> None:
        end = self.now + longest_s
        while not until() and self.now < end:
            self._tick()

    def of(self, load: str) -> int:
        return sum(request.load == load for engine in self.engines for request in engine.running + engine.waiting)

    def _route(self, request: Request) -> None:
        serving = [engine for engine in self.engines if engine.state == "ready"]
        least = min(serving, key=lambda engine: len(engine.running) + len(engine.waiting))
        least.waiting.append(request)

    def _end(self, request: Request, outcome: Outcome) -> None:
        self.records.setdefault(request.load, []).append(
            RequestRecord(
                index=request.index,
                intended_s=request.intended_s,
                sent_s=request.intended_s + 0.001,
                first_token_s=request.times[0] if request.times else None,
                last_token_s=request.times[-1] if request.times else None,
                end_s=self.now + 0.01,
                chunk_times_s=tuple(request.times),
                output_tokens=len(request.times) if outcome == "ok" else None,
                requested_output_tokens=request.tokens,
                outcome=outcome,
                error="" if outcome == "ok" else "the connection was reset",
            )
        )

    def _tick(self) -> None:
        self.ticks += 1
        self.now = round(self.ticks * TICK_S, 3)
        for load, rate in self.rates.items():
            for _ in range(self.random.poisson(rate * TICK_S)):
                self.send(load)
        for load, (clients, tokens) in self.closed.items():
            for _ in range(clients - self.of(load)):
                self.send(load, tokens)
        for engine in list(self.engines):
            self._work(engine)
        if self.ticks % 10 == 0:
            self._sample()

    def _work(self, engine: Engine) -> None:
        if engine.state in ("starting", "restarting") and self.now >= engine.ready_at_s:
            self.note("ready", f"{engine.name} ready after {START_S:.0f} s", engine.name)
            engine.state = "ready"
        while engine.waiting and len(engine.running) < SLOTS:
            request = engine.waiting.pop(0)
            request.first_s = self.now + PREFILL_S * self.random.uniform(0.8, 1.6)
            engine.running.append(request)
        for request in list(engine.running):
            if self.now < request.first_s:
                continue
            request.done += TICK_S / (0.05 + 0.012 * len(engine.running)) * self.random.uniform(0.85, 1.15)
            while len(request.times) < min(request.done, request.tokens):
                request.times.append(self.now + self.random.uniform(0, TICK_S))
                engine.generated += 1
            request.times.sort()
            if len(request.times) == request.tokens:
                engine.running.remove(request)
                self._end(request, "ok")
        if engine.state == "draining" and not engine.running and not engine.waiting:
            self.note("drained", f"{engine.name} gone", engine.name)
            self.engines.remove(engine)

    def _sample(self) -> None:
        replicas = tuple(
            ReplicaSample(
                name=engine.name,
                state=engine.state,
                running=len(engine.running) if engine.state in ("ready", "draining") else None,
                waiting=len(engine.waiting) if engine.state in ("ready", "draining") else None,
                generation_tokens=engine.generated if engine.state in ("ready", "draining") else None,
            )
            for engine in self.engines
        )
        sample = FleetSample(t_s=self.now, desired=self.desired, replicas=replicas)
        self.timeline.add_sample(sample)
        if self.ticks % round(SYNC_S / TICK_S) or self.now < 20:
            return
        observation = Observation(
            spec_replicas=self.desired,
            status_replicas=sum(engine.state != "draining" for engine in self.engines),
            pods=tuple(PodStatus(name=e.name, phase="Running", ready=e.state == "ready") for e in self.engines),
            readings=(ExternalSamples((round(sample.in_system * 1000),)),),
        )
        decision, self.state = step(self.policy, self.state, observation, self.now)
        self.timeline.add_sync(Sync(t_s=self.now, decision=decision, signal=sample.in_system))
        if decision.desired != self.desired:
            self.state = record_scale(self.policy, self.state, decision.current, decision.desired, self.now)
            self.scale(decision.desired)


def synthetic_proof(seed: int = 7) -> Proof:
    """A whole run that passed, of about five minutes."""
    fleet = Fleet(parse_model(ServingSpec, SPEC, source="local.yaml"), seed)
    marks: list[tuple[PhaseName, float]] = []
    starts: dict[str, float] = {}

    def ready(count: int) -> bool:
        return sum(engine.state == "ready" for engine in fleet.engines) >= count

    def phase(name: PhaseName) -> None:
        marks.append((name, fleet.now))

    def wait(seconds: float) -> None:
        until = fleet.now + seconds
        fleet.run(lambda: fleet.now >= until)

    phase("start")
    fleet.run(lambda: ready(1))
    phase("answer")
    wait(1.8)
    phase("baseline")
    starts["baseline"], fleet.rates["baseline"] = fleet.now, 0.5
    wait(25)
    fleet.rates.clear()
    fleet.run(lambda: fleet.of("baseline") == 0)
    phase("capacity")
    starts["capacity"], fleet.closed["capacity"] = fleet.now, (3, 0)
    wait(10)
    fleet.closed.clear()
    fleet.run(lambda: fleet.of("capacity") == 0)
    phase("step")
    starts["step"], fleet.rates["step"] = fleet.now, 2.1
    fleet.run(lambda: ready(3))
    phase("hold")
    wait(62)
    phase("kill")
    starts["burst"] = fleet.now
    for _ in range(15):
        fleet.send("burst")
    wait(1.3)
    fleet.kill(next(engine for engine in fleet.engines if engine.name == "r2"))
    fleet.run(lambda: ready(3))
    phase("scale back")
    starts["streams"], fleet.closed["streams"] = fleet.now, (3, 96)
    fleet.rates.clear()
    fleet.run(lambda: fleet.desired == 1 and len(fleet.engines) == 1)
    fleet.closed.clear()
    fleet.run(lambda: fleet.of("streams") == 0)
    phase("stop")
    fleet.note("stop", "draining")
    wait(2.4)
    return _proof(fleet, marks, starts)


def _proof(fleet: Fleet, marks: list[tuple[PhaseName, float]], starts: dict[str, float]) -> Proof:
    ends = [*(start for _, start in marks[1:]), fleet.now]
    phases = tuple(Phase(name=name, start_s=start, end_s=end) for (name, start), end in zip(marks, ends, strict=True))
    at = {phase.name: phase for phase in phases}
    belongs: dict[str, PhaseName] = {"burst": "kill", "streams": "scale back"}
    loads = tuple(
        LoadRun(
            name=name,
            phase=belongs.get(name, at[name].name if name in at else "step"),
            rate={"baseline": 0.5, "step": 2.1}.get(name),
            concurrency={"capacity": 3, "burst": 15, "streams": 3}.get(name),
            start_s=start,
            end_s=max(record.end_s for record in fleet.records[name]),
            records=tuple(fleet.records[name]),
        )
        for name, start in starts.items()
    )
    return Proof(
        spec=fleet.spec,
        verdict=Verdict(criteria=_criteria(fleet, {load.name: load for load in loads}, at)),
        phases=phases,
        loads=loads,
        timeline=fleet.timeline,
        signal_target=TARGET,
        provenance={
            "started": "2026-09-14T10:22:31+00:00",
            "flyball": "0.1.0",
            "vllm": "0.32.0 (cpu)",
            "python": "3.11.2",
            "machine": "x86_64, 2 cores, 7.75 GiB, Linux 6.1",
            "seed": "0",
        },
    )


def _criteria(fleet: Fleet, loads: Mapping[str, LoadRun], at: Mapping[PhaseName, Phase]) -> tuple[Criterion, ...]:
    """As a proof judges, on the records of the model."""
    slo, timeline, step_load, start_s = fleet.spec.slo, fleet.timeline, loads["step"], at["step"].start_s
    ready, stopped_s = at["hold"].start_s, at["scale back"].start_s
    killed_s = next(event.t_s for event in timeline.events if event.kind == "killed")
    one_more_s = judging.ready_s(timeline, 2, start_s=start_s) or ready
    records = {record.index: record for record in step_load.records}
    intended = [records[index].intended_s for index in sorted(records)]
    search = HoldSearch(intended, slo, hold_s=30.0, start_s=ready)
    search.found_in(records)
    return (
        judging.judge_answer("What is the capital of France?", "The capital of France is Paris.", "Paris", 8, 0.6),
        judging.judge_baseline(loads["baseline"], slo, 1),
        judging.judge_step(step_load, 1.14, timeline, slo, until_s=one_more_s, max_num_seqs=SLOTS),
        judging.judge_scale_out(
            timeline,
            crossed=judging.crossed_s(timeline, "in_system", TARGET, 0.1, start_s=start_s),
            start_s=start_s,
            expected=3,
            initial=1,
            sync_period_s=SYNC_S,
        ),
        judging.judge_regained(search.found, ready=ready, hold_s=30.0),
        judging.judge_scale_back(timeline, loads["streams"], (), stopped_s=stopped_s, minimum=1),
        judging.judge_kill(
            [*loads["burst"].records, *step_load.records], killed_s=killed_s, healed_s=stopped_s, retries=5, name="r2"
        ),
        judging.judge_nothing_left((), 2.4),
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(proof_page(synthetic_proof()), encoding="utf-8")
