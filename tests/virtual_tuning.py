"""Trials in virtual time: an engine with known factors serves each load in milliseconds, and clocks are added up."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from flyball.bench import LoadSettings
from flyball.catalog import load_catalog
from flyball.engine import StartFailure
from flyball.measurement import RequestRecord, Summary, objective_results, percentile, records_to_json
from flyball.perf import Efficiency, LoadRequest, ServedRequest, builtin_architecture, serve
from flyball.planning import demand
from flyball.spec import ServingSpec
from flyball.tune.experiment import Bench
from flyball.tune.journal import Journal
from flyball.tune.measuring import LoadPlan, seen
from flyball.tune.prediction import Predictor, Unfit
from flyball.tune.rate_search import Estimate, Tried, next_rate
from flyball.tune.rate_search import bracket as find_bracket
from flyball.tune.sequential import ObjectiveTest
from flyball.tune.session import Session
from flyball.tune.target import Started
from flyball.tune.trial import Expected, Flags, Probe, Refusal, Trial
from flyball.workload import Recordings

LLAMA = "meta-llama/Llama-3.1-8B"


def predictor(
    spec: ServingSpec, *, efficiency: Efficiency, error: float, chip: str = "L4", **fixed: object
) -> Predictor:
    architecture = builtin_architecture(LLAMA)
    assert architecture is not None
    return Predictor(
        architecture=architecture,
        accelerator=load_catalog().accelerator(chip),
        version="0.26.0",
        fixed=fixed,
        demand=demand(spec.workload, slo=spec.slo, recordings=Recordings(), rng=np.random.default_rng(0)),
        slo=spec.slo,
        efficiency=efficiency,
        error=error,
    )


@dataclass
class VirtualServer:
    """A `Target` and the prober of what it started. `truth` is the engine as it really is."""

    truth: Predictor
    spec: ServingSpec
    seed: int = 0
    start_s: float = 60.0
    fails: dict[int, StartFailure] = field(default_factory=dict)
    """By max_num_seqs."""
    now_s: float = 0.0
    flags: Flags = field(default_factory=dict)
    folder: Path = Path()
    running: bool = False
    starts: list[Flags] = field(default_factory=list)
    loads: int = 0
    interrupt_at_load: int | None = None

    @property
    def plan(self) -> LoadPlan:
        return LoadPlan(
            shape=self.spec.workload, recordings=Recordings(), slo=self.spec.slo, limits=self.spec.tune,
            seed=self.seed, mean_output_tokens=self.truth.demand.mean_output_tokens, settings=LoadSettings(),
        )  # fmt: skip

    async def start(self, flags: Flags, *, log: Path) -> Started | StartFailure:
        assert not self.running
        self.starts.append(flags)
        self.now_s += self.start_s
        load = self.truth.load(flags)
        failure = self.fails.get(int(flags["max_num_seqs"]))
        if isinstance(load, Unfit):
            failure = StartFailure(cause="out of memory", evidence=load.reason, fix="")
        if failure is not None:
            return failure
        self.flags, self.running = flags, True
        return Started(url="http://virtual", model="m", seconds=self.start_s, vllm="0.26.0")

    async def stop(self) -> None:
        self.running = False

    def prober(self, _: Started, folder: Path) -> "VirtualServer":
        self.folder = folder
        return self

    async def warm_up(self) -> None:
        self.now_s += 1.0

    async def probe(self, rate: float, round_: int) -> tuple[Probe, list[RequestRecord]]:
        self.loads += 1
        if self.loads == self.interrupt_at_load:
            raise KeyboardInterrupt
        everything = self.served(rate, round_)
        test = ObjectiveTest(slo=self.spec.slo, settled_s=self.plan.settled_s, most=self.spec.tune.requests)
        end_s = 0.0
        for record in sorted(everything, key=lambda each: each.end_s):
            test.add(record)
            end_s = record.end_s
            if test.verdict is not None:
                break
        records = [
            each if each.end_s <= end_s else replace(each, outcome="cancelled", end_s=end_s)
            for each in everything
            if each.intended_s <= end_s
        ]
        self.now_s += end_s
        name = f"records-{self.loads:03d}.jsonl"
        (self.folder / name).write_text(records_to_json(records))
        probe = Probe(
            round=round_, rate=rate, verdict=test.verdict or test.leaning, requests=test.judged, preemptions=0,
            thrown_away=0, seconds=end_s, records=name, **seen(records, self.plan),
        )  # fmt: skip
        return probe, records

    async def e2e_p95(self, rate: float) -> float:
        records = self.served(rate, 0)[: self.spec.tune.requests]
        self.now_s += records[-1].end_s
        return percentile([record.e2e_s or 0.0 for record in records], 95)

    def served(self, rate: float, round_: int) -> list[RequestRecord]:
        requests = [
            LoadRequest(each.prompt_tokens, each.output_tokens, each.arrival_s)
            for each in self.plan.workload(rate, round_)
        ]
        engine = self.truth.engine(self.flags)
        done = serve(engine.step_model(self.truth.efficiency), requests, kv_cache_tokens=engine.kv_cache_tokens)
        return [_record(index, each) for index, each in enumerate(done)]

    def true_rate(self, flags: Flags) -> float:
        """The rate that these flags hold, by long loads that no test ends early."""
        engine = self.truth.engine(flags)
        model = engine.step_model(self.truth.efficiency)
        bracket: list[Tried] = []
        while (rate := next_rate(bracket, guess=4.0, resolution=0.03)) is not None:
            requests = self.truth.demand.traffic.arrivals(rate, 700)
            done = serve(model, requests, kv_cache_tokens=engine.kv_cache_tokens)[200:]
            summary = Summary.of([_record(index, each) for index, each in enumerate(done)], self.spec.slo)
            held = all(result.holds for result in objective_results(summary, self.spec.slo))
            bracket.append(Tried(rate=rate, held=held))
        return Estimate.of([find_bracket(bracket)]).rate

    def session(self, folder: Path, *, say: list[str] | None = None) -> Session:
        lines: list[str] = [] if say is None else say
        bench = Bench(target=self, prober=self.prober, say=lines.append, clock=lambda: self.now_s)
        return Session(bench=bench, journal=Journal(folder), folder=folder, limits=self.spec.tune)


def _record(index: int, served: ServedRequest) -> RequestRecord:
    return RequestRecord(
        index=index,
        intended_s=served.sent_s,
        sent_s=served.sent_s,
        first_token_s=served.first_token_s,
        last_token_s=served.last_token_s,
        end_s=served.last_token_s,
        prompt_tokens=served.request.prompt_tokens,
        output_tokens=served.request.output_tokens,
        requested_output_tokens=served.request.output_tokens,
        outcome="ok",
    )


def trial(
    number: int,
    sequences: int,
    rate: float,
    *,
    expected: float | None = None,
    missed: tuple[str, ...] = (),
    at_once: int | None = None,
) -> Trial:
    """One that held `rate` and missed 4 % above; a rate of 0 is one that did not start."""
    probe = Probe(
        round=0, rate=rate, verdict="held", requests=80, attainment=1.0, measured_s={}, preemptions=0, thrown_away=0,
        seconds=30, records="", at_once=at_once,
    )  # fmt: skip
    too_much = Probe(
        round=0, rate=rate * 1.04, verdict="missed", requests=80, attainment=0.8, measured_s={}, preemptions=0,
        thrown_away=0, seconds=30, records="", missed=missed, at_once=at_once,
    )  # fmt: skip
    return Trial(
        number=number,
        flags={"max_num_seqs": sequences},
        why="",
        expected=None if expected is None else Expected(rate=expected, low=expected / 1.1, high=expected * 1.1),
        start_s=60,
        seconds=300,
        probes=(probe, too_much) if rate else (),
        refusal=None if rate else Refusal(kind="start", cause="out of memory"),
    )
