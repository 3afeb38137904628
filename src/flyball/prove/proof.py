"""The sequence of a proof on a local fleet. It drives and waits; `judging` decides what the records prove."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from flyball.bench import LoadSettings, ask
from flyball.engine import Engine
from flyball.errors import OutsideError, UsageError
from flyball.local import Service, Timeline, serving
from flyball.prove import judging
from flyball.prove.holding import HoldSearch
from flyball.prove.loads import LoadGenerator, RunningLoad
from flyball.prove.verdict import Criterion, Evidence, LoadRun, Phase, PhaseName
from flyball.spec import Arrivals, Lengths, ServingSpec
from flyball.workload import at_rate

QUESTION, EXPECTED = "What is the capital of France?", "Paris"
SAMPLE_PERIOD_S = 1.0
CAPACITY_S = 15.0  # a closed loop this long measures what one replica completes
# Where the spec gives neither peak nor step, the step is this much more than one replica fewer than expected completes
# when each has the requests that it is aimed at, so that the law wants the last one too; and this much more than one
# replica could complete with all of its slots, which is at most its slots over its aim times as much (throughput is
# concave in them).
BEYOND = 1.1
STREAM_TOKENS = 96  # long enough that streams run on every replica when one is told to drain
KILL_WAIT_S = 10.0  # how long to wait for a replica with requests that have no first byte yet


@dataclass(slots=True)
class _Run:
    """A proof under way."""

    spec: ServingSpec
    service: Service
    generator: LoadGenerator
    say: Callable[[str], None]
    evidence: Evidence
    running: list[RunningLoad] = field(default_factory=list)

    @property
    def now_s(self) -> float:
        return self.service.fleet.now_s

    @property
    def timeline(self) -> Timeline:
        return self.evidence.timeline

    @property
    def expected(self) -> int:
        return self.spec.prove.replicas or self.spec.scaling.max

    def begin(self, name: PhaseName, what: str) -> None:
        self.end_phase()
        self.evidence.phases.append(Phase(name=name, start_s=self.now_s, end_s=self.now_s))
        self.say(f"{name}: {what}")

    def end_phase(self) -> None:
        phases = self.evidence.phases
        if phases:
            phases[-1] = replace(phases[-1], end_s=self.now_s)

    def judge(self, criterion: Criterion) -> None:
        self.evidence.criteria.append(criterion)
        word = {True: "yes", False: "NO", None: "not reached"}[criterion.passed]
        self.say(f"  ({criterion.number}) {criterion.title}: {word}. {criterion.finding}")

    async def until(
        self, reached: Callable[[], bool], *, patience_s: float | None = None, every_s: float = 0.1
    ) -> bool:
        """Wait for a condition of the fleet, up to the spec's patience; False when it runs out."""
        deadline = self.now_s + (self.spec.prove.patience if patience_s is None else patience_s)
        while not reached():
            if self.now_s > deadline:
                return False
            if self.service.control.done():
                self.service.control.result()
                raise OutsideError("the control loop ended", fix="see the fleet's log")
            await asyncio.sleep(every_s)
        return True

    def start_load(
        self,
        name: str,
        phase: PhaseName,
        arrivals: Arrivals,
        *,
        seed_offset: int,
        duration_s: float | None = None,
        count: int | None = None,
        output_tokens: Lengths | None = None,
    ) -> RunningLoad:
        """Begin to send now, for `duration_s` seconds or `count` requests or until stopped."""
        load = self.generator.start(
            name, phase, arrivals, now_s=self.now_s, seed_offset=seed_offset, duration_s=duration_s, count=count,
            output_tokens=output_tokens,
        )  # fmt: skip
        self.running.append(load)
        return load

    async def keep(self, load: RunningLoad) -> LoadRun:
        await load.finish()
        self.running.remove(load)
        finished = load.so_far(self.now_s)
        self.evidence.loads.append(finished)
        return finished


async def prove(
    spec: ServingSpec,
    engine: Engine,
    *,
    folder: Path,
    seed: int,
    say: Callable[[str], None],
    evidence: Evidence,
) -> None:
    """Run the acceptance test. `say` gets progress, a line at a time; `evidence` fills as it goes.

    Raises UsageError for a spec that cannot be proven, OutsideError if the fleet does not start.
    """
    expected = spec.prove.replicas or spec.scaling.max
    if not spec.scaling.min < expected <= spec.scaling.max:
        raise UsageError(
            f"prove.replicas {expected} does not lie above scaling.min {spec.scaling.min} and up to scaling.max "
            f"{spec.scaling.max}: nothing would scale",
            fix="raise scaling.max, or set prove.replicas",
        )
    say(f"start: {spec.scaling.min} replica(s) of {spec.model.id} behind the gateway")
    async with serving(
        spec, engine, folder=folder, timeline=evidence.timeline, sample_period_s=SAMPLE_PERIOD_S
    ) as service:
        run = _Run(spec=spec, service=service, generator=_generator(spec, service, seed), say=say, evidence=evidence)
        evidence.signal_target = service.signal_target
        evidence.phases.append(Phase(name="start", start_s=0.0, end_s=run.now_s))
        try:
            await _serve_and_judge(run)
        finally:  # an interrupted run keeps what its loads have gathered
            evidence.loads.extend(load.so_far(run.now_s) for load in run.running)
        run.begin("stop", "draining the fleet")
        stopping_s = run.now_s
    run.end_phase()
    leftovers = service.nursery.leftovers()
    run.judge(judging.judge_nothing_left(leftovers, service.fleet.now_s - stopping_s))


async def _serve_and_judge(run: _Run) -> None:
    await _answer(run)
    await _baseline(run)
    capacity = await _capacity(run)
    step = await _step_and_hold(run, capacity)
    await _kill(run, step)
    await _scale_back(run, step)


def _generator(spec: ServingSpec, service: Service, seed: int) -> LoadGenerator:
    return LoadGenerator(
        url=service.url,
        model=service.blueprint.served_name,
        shape=spec.workload,
        seed=seed,
        origin=service.fleet.origin,
        settings=LoadSettings(api_key=service.api_key),
    )


async def _answer(run: _Run) -> None:
    run.begin("answer", QUESTION)
    answer = await ask(run.service.url, QUESTION, model=run.generator.model, api_key=run.service.api_key)
    run.judge(judging.judge_answer(QUESTION, answer.text, EXPECTED, answer.output_tokens, answer.seconds))


async def _baseline(run: _Run) -> None:
    arrivals, seconds = run.spec.workload.arrivals, run.spec.prove.baseline
    run.begin("baseline", f"{arrivals.mean_rate or arrivals.closed_loop:g} requests/s for {seconds:.0f} s")
    load = run.start_load("baseline", "baseline", arrivals, duration_s=seconds, seed_offset=0)
    run.judge(judging.judge_baseline(await run.keep(load), run.spec.slo, run.spec.scaling.min))


async def _capacity(run: _Run) -> float:
    """Requests per second that one replica completes with as many in it as the scaling law aims at.

    One more would set off the scaling that the step is to set off.
    """
    clients = max(1, int(run.service.signal_target)) * run.spec.scaling.min
    run.begin("capacity", f"{clients} client(s) without a pause for {CAPACITY_S:.0f} s: what one replica can do")
    start_s = run.now_s
    load = run.start_load("capacity", "capacity", Arrivals(closed_loop=clients), duration_s=CAPACITY_S, seed_offset=1)
    finished = await run.keep(load)
    ends = [record.end_s for record in finished.records if record.outcome == "ok"]
    capacity = len(ends) / (max(ends) - start_s) / run.spec.scaling.min if ends else 0.0
    run.say(f"  one replica completes {capacity:.2f} requests/s")
    return capacity


async def _step_and_hold(run: _Run, capacity: float) -> RunningLoad:
    """The step, the two clocks, and the objective regained. The load runs on when this returns."""
    spec = run.spec
    slots_per_aim = run.service.blueprint.max_num_seqs / max(1, int(run.service.signal_target))
    rate = step_rate(spec, capacity, slots_per_aim=slots_per_aim, expected=run.expected)
    run.begin("step", f"{rate:g} requests/s until further notice")
    start_s = run.now_s
    # Long enough for every wait that may follow; it is stopped when nothing needs it any more.
    longest_s = 4 * spec.prove.patience + spec.prove.hold
    step = run.start_load("step", "step", at_rate(spec.workload.arrivals, rate), duration_s=longest_s, seed_offset=2)
    initial, expected = spec.scaling.min, run.expected
    await run.until(lambda: judging.ready_s(run.timeline, expected, start_s=start_s) is not None)
    ready = judging.ready_s(run.timeline, expected, start_s=start_s)
    more = judging.ready_s(run.timeline, initial + 1, start_s=start_s) or run.now_s
    slots = run.service.blueprint.max_num_seqs * initial
    alone = LoadRun(
        name="step", phase="step", rate=rate, concurrency=None, start_s=start_s, end_s=more,
        records=tuple(step.records.values()),
    )  # fmt: skip
    run.judge(judging.judge_step(alone, capacity * initial, run.timeline, spec.slo, until_s=more, max_num_seqs=slots))
    policy = run.service.policy
    crossed = judging.crossed_s(
        run.timeline, spec.scaling.signal, run.service.signal_target, policy.tolerance, start_s=start_s
    )
    run.judge(
        judging.judge_scale_out(
            run.timeline, crossed=crossed, start_s=start_s, expected=expected, initial=initial,
            sync_period_s=policy.sync_period_s,
        )
    )  # fmt: skip
    run.begin("hold", f"the objective for {spec.prove.hold:.0f} s on {expected} replicas")
    search = HoldSearch(step.intended_s, spec.slo, hold_s=spec.prove.hold, start_s=ready or run.now_s)
    if ready is not None:
        await run.until(lambda: search.found_in(step.records), every_s=1.0)
        run.judge(judging.judge_regained(search.found, ready=ready, hold_s=spec.prove.hold))
    return step


def step_rate(spec: ServingSpec, capacity: float, *, slots_per_aim: float, expected: int) -> float:
    """Requests per second of the step, from the `capacity` of one replica that has as many requests as are aimed at."""
    factor = spec.prove.step or BEYOND * max(expected - 1, slots_per_aim * spec.scaling.min)
    return spec.workload.peak or round(factor * capacity, 2)


async def _kill(run: _Run, step: RunningLoad) -> None:
    """SIGKILL to the replica with the most requests without a first byte, in the middle of a burst."""
    fleet = run.service.fleet
    if len([member for member in fleet.members if member.state == "ready"]) < 2:
        run.begin("kill", "needs two ready replicas, skipped")
        return
    slots = run.service.blueprint.max_num_seqs * run.expected
    run.begin("kill", f"a burst of {slots + run.expected} requests on top, then SIGKILL to a replica")
    burst_size = slots + run.expected
    burst = run.start_load("burst", "kill", Arrivals(closed_loop=burst_size), count=burst_size, seed_offset=3)
    retries = (await fleet.gateway.stats()).retries

    def queue() -> dict[str, float]:
        latest = run.timeline.samples[-1]
        return {r.name: r.waiting or 0.0 for r in latest.replicas if r.state == "ready"}

    await run.until(lambda: max(queue().values(), default=0.0) > 0, patience_s=KILL_WAIT_S)
    waiting = queue()
    victim = max(waiting, key=lambda name: waiting[name])
    killed_s = run.now_s
    fleet.kill(victim)
    burst_run = await run.keep(burst)
    await run.until(lambda: run.now_s > killed_s + SAMPLE_PERIOD_S)
    healed = await run.until(lambda: run.timeline.samples[-1].ready >= run.expected)
    healed_s = run.now_s if healed else None
    retries = (await fleet.gateway.stats()).retries - retries
    records = [*burst_run.records, *step.records.values()]
    run.judge(judging.judge_kill(records, killed_s=killed_s, healed_s=healed_s, retries=retries, name=victim))


async def _scale_back(run: _Run, step: RunningLoad) -> None:
    """The load ends; about a stream a replica runs on while the fleet returns to its minimum."""
    spec = run.spec
    step.stop.set()
    clients = max(1, min(run.expected, int(run.service.signal_target * spec.scaling.min)))
    run.begin("scale back", f"the load ends; {clients} clients keep streams running while replicas drain")
    stopped_s = run.now_s
    streams = run.start_load(
        "streams", "scale back", Arrivals(closed_loop=clients),
        duration_s=spec.prove.patience, output_tokens=Lengths(fixed=STREAM_TOKENS), seed_offset=4,
    )  # fmt: skip

    def back() -> bool:
        sample = run.timeline.samples[-1]
        return sample.desired <= spec.scaling.min and len(sample.replicas) <= spec.scaling.min

    await run.until(back)
    streams.stop.set()
    finished, last_of_step = await run.keep(streams), await run.keep(step)
    tail = [record for record in last_of_step.records if record.end_s > stopped_s]
    run.judge(judging.judge_scale_back(run.timeline, finished, tail, stopped_s=stopped_s, minimum=spec.scaling.min))
