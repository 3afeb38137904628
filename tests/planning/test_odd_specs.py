"""Specs that ask for what cannot be: a plan, a "no" with numbers, or one line of what is wrong; never a traceback."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyball.catalog import load_catalog
from flyball.errors import UsageError
from flyball.perf import builtin_models
from flyball.planning import PlanOutcome

QWEN = "model: {id: Qwen/Qwen2.5-7B}\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("engine: {tensor_parallel_size: 3}", "28 attention heads .* do not split over 3"),
        ("engine: {max_model_len: 1000000}", "cannot have 1000000 tokens"),
        ("engine: {pipeline_parallel_size: 2}", "within one machine"),
        ("engine: {kv_cache_dtype: nvfp4}", "kv_cache_dtype"),
        ("engine: {max_num_batched_tokens: 32, max_num_seqs: 64}", "32 is below max_num_seqs 64"),
    ],
)
def test_flags_that_the_model_cannot_have_are_refused(
    planner: Callable[..., PlanOutcome], text: str, what: str
) -> None:
    """What the user gave is named; it is not blamed on memory."""
    with pytest.raises(UsageError, match=what):
        planner(QWEN + "hardware: {cloud: aws, accelerators: [H100]}\n" + text)


@pytest.mark.parametrize(
    ("text", "verdict", "kinds"),
    [
        (
            "hardware: {cloud: aws, accelerators: [H100]}\nengine: {tensor_parallel_size: 16}",
            "no machine: 16 x H100",
            {"machine"},
        ),
        ("hardware: {cloud: azure, accelerators: [L4]}", "no machine: L4: no machine of azure", {"machine"}),
        (
            "hardware: {cloud: aws, accelerators: [H100]}\nworkload: {prompt_tokens: {fixed: 200000}}",
            "the requests are longer than the context",
            {"context", "split"},
        ),
        (
            "hardware: {cloud: aws, accelerators: [T4]}\nengine: {tensor_parallel_size: 1}",
            "the model fits nowhere (a replica lies within one machine",
            {"memory"},
        ),
        ("hardware: {cloud: aws}\nworkload: {arrivals: {poisson: 1e9}}", "takes too many replicas", None),
    ],
)  # fmt: skip
def test_the_verdict_names_what_stands_in_the_way(
    planner: Callable[..., PlanOutcome], text: str, verdict: str, kinds: set[str] | None
) -> None:
    """And each rejection its own reason; eight GPUs that 28 heads do not split over are no lack of memory."""
    outcome = planner(QWEN + text)
    assert outcome.plan is None
    assert verdict in outcome.verdict
    assert kinds is None or {each.kind for each in outcome.rejections} == kinds


@pytest.mark.parametrize(("flag", "value"), [("max_num_batched_tokens", 64), ("max_num_seqs", 4096)])
def test_a_step_has_a_token_for_each_sequence(planner: Callable[..., PlanOutcome], flag: str, value: int) -> None:
    """With fewer vLLM does not start; whichever of the two is given, the other follows."""
    outcome = planner(
        QWEN
        + f"slo: {{ttft: {{p95: 10s}}}}\nhardware: {{cloud: none, accelerators: [H200]}}\nengine: {{{flag}: {value}}}"
    )
    assert outcome.plan is not None
    assert outcome.plan.engine_args[flag] == value
    assert outcome.plan.engine_args["max_num_seqs"] <= outcome.plan.engine_args["max_num_batched_tokens"]


MANY = st.sampled_from([1e-9, 0.01, 1.0, 24.0, 500.0, 1e6])
LENGTHS = st.one_of(
    st.builds(lambda tokens: {"fixed": tokens}, st.sampled_from([1, 2, 512, 8192, 131072])),
    st.builds(
        lambda mu, sigma: {"lognormal": {"mu": mu, "sigma": sigma}},
        st.sampled_from([0, 4.8, 6, 12]),
        st.sampled_from([0, 0.6, 4]),
    ),
)
SPECS = st.fixed_dictionaries(
    {
        "model": st.fixed_dictionaries(
            {"id": st.sampled_from(sorted(builtin_models()))},
            optional={"quantization": st.sampled_from(["fp8", "awq", "nonsense"])},
        ),
        "hardware": st.fixed_dictionaries(
            {
                "cloud": st.sampled_from(["aws", "gcp", "azure", "none"]),
                "accelerators": st.lists(
                    st.sampled_from([chip.name for chip in load_catalog().accelerators]),
                    min_size=1,
                    max_size=2,
                    unique=True,
                ),
            },
            optional={"spot": st.just({"allowed": True, "on_demand_floor": 0})},
        ),
        "workload": st.fixed_dictionaries(
            {
                "arrivals": st.one_of(
                    st.builds(lambda rate: {"poisson": rate}, MANY),
                    st.builds(lambda rate: {"gamma": {"rate": rate, "cv": 20}}, MANY),
                    st.builds(lambda clients: {"closed_loop": clients}, st.sampled_from([1, 64, 10**6])),
                    st.builds(lambda rate: {"step": [{"rate": rate, "duration": "10s"}]}, st.sampled_from([0, 5])),
                )
            },
            optional={
                "peak": MANY,
                "prompt_tokens": LENGTHS,
                "output_tokens": LENGTHS,
                "shared_prefix_tokens": st.sampled_from([1, 400, 10**7]),
            },
        ),
        "slo": st.fixed_dictionaries(
            {}, optional={metric: st.just({"p95": bound}) for metric, bound in {"ttft": "0.2s", "e2e": "1h"}.items()}
        ).map(lambda slo: slo or {"tpot": {"p50": "1ms", "p99": "10s"}}),
        "engine": st.fixed_dictionaries(
            {},
            optional={
                "tensor_parallel_size": st.sampled_from([1, 2, 3, 8, 16, 0]),
                "max_num_seqs": st.sampled_from([1, 64, 100_000]),
                "max_num_batched_tokens": st.sampled_from([1, 2048, 131072]),
                "max_model_len": st.sampled_from([1, 4096, 10**6]),
                "gpu_memory_utilization": st.sampled_from([0.01, 0.9, 1.0, 1.5]),
                "kv_cache_dtype": st.sampled_from(["fp8", "int4"]),
            },
        ),
    }
)


@pytest.mark.long
@given(spec=SPECS)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_spec_has_an_answer(planner: Callable[..., PlanOutcome], spec: dict[str, Any]) -> None:
    """Whatever it asks for; and where there is no plan, the verdict and each rejection say why."""
    try:
        outcome = planner(yaml.safe_dump(spec))
    except UsageError as error:
        refusal = error
    else:
        if outcome.plan is None:
            assert outcome.verdict
            assert all(each.reason for each in outcome.rejections)
        else:
            assert outcome.plan.chosen.capacity.rate > 0
            assert outcome.plan.max_replicas >= 1
        return
    assert refusal.fix
    assert "\n" not in refusal.what
