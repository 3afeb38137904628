"""Answers that are known from measurements, or by arithmetic on what the makers publish."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from flyball.catalog import load_catalog, release
from flyball.perf import builtin_architecture
from flyball.perf.load import ServedRequest, serve
from flyball.planning import Configuration, PlanOutcome, SizedEngine, demand, replica_load, sized
from flyball.spec import SLO, Percentiles, WorkloadShape
from flyball.workload import Recordings

LLAMA_8B = "model: {id: meta-llama/Llama-3.1-8B-Instruct}\n"
LLAMA_70B = "model: {id: meta-llama/Llama-3.3-70B-Instruct}\n"


def test_70b_on_one_a100_is_rejected_and_two_are_offered(planner: Callable[..., PlanOutcome]) -> None:
    """141 GB of weights do not fit one 80 GB chip; two do, and so do 4 bits, with the pool that is left."""
    outcome = planner(LLAMA_70B + "hardware: {cloud: none, accelerators: [A100-80GB]}\nslo: {ttft: {p95: 2s}}\n")

    assert outcome.plan is not None
    assert outcome.plan.tensor_parallel_size >= 2
    alone = next(each for each in outcome.rejections if each.configuration.tensor_parallel_size == 1)
    assert "weights 141 GB >" in alone.reason
    ways = " ".join(alone.ways_out)
    assert "tensor_parallel_size=2 leaves a pool of" in ways
    assert "quantization=awq leaves a pool of" in ways


@pytest.mark.parametrize("model", ["meta-llama/Meta-Llama-3-8B", "meta-llama/Llama-3.1-8B"])
def test_8b_on_one_a10g_holds_tens_of_sequences(model: str) -> None:
    """With a context of 4,096 and 90 % of the memory some 30,000 tokens are left: 32 to 64 requests, not 256."""
    architecture = builtin_architecture(model) or builtin_architecture("meta-llama/Llama-3.1-8B-Instruct")
    assert architecture is not None
    objective = SLO(ttft=Percentiles(p95=1.0))
    wanted = demand(WorkloadShape(), slo=objective, recordings=Recordings(), rng=np.random.default_rng(0))

    engine = sized(
        architecture,
        Configuration(accelerator=load_catalog().accelerator("A10G")),
        given={"max_model_len": 4096, "gpu_memory_utilization": 0.9},
        demand=wanted,
        release=release("0.32.0"),
    )

    assert isinstance(engine, SizedEngine)
    assert engine.budget.kv_cache.tokens == pytest.approx(30_000, rel=0.1)
    assert 32 <= engine.engine["max_num_seqs"].value <= 64


def test_24_requests_a_second_of_an_8b_need_one_h200(planner: Callable[..., PlanOutcome]) -> None:
    """Measured on an H200: TTFT p95 88 ms at 24 req/s of this mix. One replica holds it; a second is there to lose."""
    outcome = planner(
        LLAMA_8B
        + """
workload:
  arrivals: {poisson: 24}
  prompt_tokens: {lognormal: {mu: 6.0, sigma: 0.6}}
  output_tokens: {lognormal: {mu: 4.8, sigma: 0.6}}
slo: {ttft: {p95: 200ms}}
hardware: {cloud: none, accelerators: [H200]}
"""
    )

    assert outcome.plan is not None
    replicas = outcome.plan.chosen.replicas
    assert (replicas.needed_typical, replicas.min.value) == (1, 2)
    alone = outcome.plan.chosen.one_lost.quantiles_s["ttft", 95]
    assert alone.value == pytest.approx(0.088, rel=0.35)
    assert alone.low < alone.value < alone.high < 0.2


def test_an_objective_under_every_floor_says_so(planner: Callable[..., PlanOutcome]) -> None:
    """5 ms to the first token is less than an idle server takes: no replica count helps, and the best is named."""
    outcome = planner(LLAMA_8B + "slo: {ttft: {p95: 5ms}}\nhardware: {cloud: aws}\n")

    assert outcome.plan is None
    assert "no replica count can meet the objective" in outcome.verdict
    floors = {each.label: each.shortfall for each in outcome.rejections if each.kind == "floor"}
    least = min(each or 0.0 for each in floors.values())
    best = [label for label, shortfall in floors.items() if shortfall == least]
    assert any(f"the best is {label}: TTFT p95 floor" in outcome.verdict for label in best)
    assert "> 5 ms with an idle server" in outcome.verdict


def test_too_many_replicas_are_counted(planner: Callable[..., PlanOutcome]) -> None:
    """A peak beyond scaling.max names the number that would be needed."""
    outcome = planner(
        LLAMA_8B
        + "workload: {arrivals: {poisson: 400}}\nscaling: {max: 4}\nhardware: {cloud: none, accelerators: [H200]}\n"
    )

    assert outcome.plan is None
    assert any("replicas needed" in each.reason and "> 4, scaling.max" in each.reason for each in outcome.rejections)


def test_all_accelerators_are_looked_at_and_few_are_served(
    planner: Callable[..., PlanOutcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every chip of the catalog has its say, and 40 loads in virtual time suffice: that is what a plan's time is."""
    served: list[int] = []

    def counted(*args: Any, **kwargs: Any) -> list[ServedRequest]:
        served.append(1)
        return serve(*args, **kwargs)

    monkeypatch.setattr(replica_load, "serve", counted)
    outcome = planner(LLAMA_8B + "workload: {arrivals: {poisson: 24}, peak: 60}\nhardware: {cloud: none}\n")

    assert outcome.plan is not None
    configurations = [each.configuration for each in (outcome.plan.chosen, *outcome.alternatives)]
    configurations += [each.configuration for each in outcome.rejections]
    assert {each.accelerator.name for each in configurations} == {chip.name for chip in load_catalog().accelerators}
    assert len(served) <= 40
