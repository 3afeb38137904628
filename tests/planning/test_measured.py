"""The spec's `measured` record: used where all of it fits, told where it does not."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from flyball.cli.main import app
from flyball.planning import PlanOutcome

SPEC = """
model: {id: meta-llama/Llama-3.1-8B-Instruct}
slo: {ttft: {p95: 200ms}, tpot: {p95: 50ms}}
workload: {arrivals: {poisson: 24}, peak: 60}
hardware: {cloud: none, accelerators: [H100]}
engine: {max_num_seqs: 128, max_num_batched_tokens: 8192, tensor_parallel_size: 1}
"""
RECORD = {
    "requests_per_s": 16.0,
    "error": 0.06,
    "accelerator": "H100",
    "vllm": "0.33.0",
    "model": "meta-llama/Llama-3.1-8B-Instruct",
    "slo": {"ttft": {"p95": "200ms"}, "tpot": {"p95": "50ms"}},
    "prompt_tokens": 483.0,
    "output_tokens": 145.0,
    "flags": {"max_num_seqs": 128, "max_num_batched_tokens": 8192},
    "date": "2026-11-25",
    "run": "tune-20261125-101500",
}


def _text(**changes: object) -> str:
    return SPEC + yaml.safe_dump({"measured": {**RECORD, **changes}})


def test_a_measured_rate_stands_in_place_of_the_models(planner: Callable[..., PlanOutcome]) -> None:
    """Replicas, their signal's target and the latency at the measured rate follow it; the reason names the run."""
    modelled, measured = planner(SPEC).plan, planner(_text()).plan
    assert modelled is not None
    assert measured is not None
    rate = measured.derived["replica.requests_per_s"]
    assert rate.value == pytest.approx(16)
    assert modelled.chosen.capacity.rate > 20
    assert "tune-20261125-101500" in rate.reason
    assert f"the model says {modelled.chosen.capacity.rate:.3g}" in rate.reason
    assert "at the 16 req/s that were measured" in measured.reasons["scaling.target"]
    assert measured.chosen.replicas.needed_peak == 4  # 60 requests/s, 16 each
    assert modelled.chosen.replicas.needed_peak < 4
    # Little's law: at the same latency a replica that completes fewer requests holds fewer.
    share = 16 / modelled.chosen.capacity.rate
    assert measured.chosen.capacity.in_system == pytest.approx(modelled.chosen.capacity.in_system * share)


def test_the_objective_is_met_exactly_up_to_the_measured_rate(planner: Callable[..., PlanOutcome]) -> None:
    """A replica measured to hold 30 is full at 29: its latency is just under the bound, and over it at one lost."""
    plan = planner(_text(requests_per_s=30.0)).plan
    assert plan is not None
    point = plan.chosen.peak  # 60 over 3 replicas
    assert point.utilization == pytest.approx(60 / point.replicas / 30)
    slower, quicker = (
        planner(_text(requests_per_s=rate)).plan.chosen.typical.latency  # type: ignore[union-attr]
        for rate in (13.0, 39.0)
    )
    assert slower.quantiles_s["ttft", 95].value > quicker.quantiles_s["ttft", 95].value


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vllm": "0.32.0"}, "measured with vLLM 0.32.0, planned with 0.33.0"),
        ({"accelerator": "H200"}, "measured with accelerator H200, planned with H100"),
        ({"model": "a/b"}, "measured with model a/b"),
        ({"tensor_parallel_size": 2}, "measured with tensor_parallel_size 2, planned with 1"),
        ({"flags": {"max_num_seqs": 64}}, "measured with max_num_seqs 64, planned with 128"),
        ({"flags": {"kv_cache_dtype": "fp8"}}, "measured with kv_cache_dtype fp8, planned with unset"),
        ({"slo": {"ttft": {"p95": "300ms"}}}, "measured with objective ttft p95 0.3 s, planned with"),
        ({"prompt_tokens": 900.0}, "prompts of 900 tokens, the mean; the workload's have 4"),
        ({"output_tokens": 100.0}, "outputs of 100 tokens, the mean; the workload's have 1"),
    ],
)
def test_what_does_not_fit_is_ignored_and_told(
    planner: Callable[..., PlanOutcome], changes: dict[str, object], said: str
) -> None:
    """The model's rate stays, and the reason says what differs."""
    plan, modelled = planner(_text(**changes)).plan, planner(SPEC).plan
    assert plan is not None
    assert modelled is not None
    rate = plan.derived["replica.requests_per_s"]
    assert rate.value == modelled.derived["replica.requests_per_s"].value
    assert "is ignored" in rate.reason
    assert said in rate.reason


def test_quantised_weights_are_another_engine(planner: Callable[..., PlanOutcome]) -> None:
    """A record of the weights as they are says nothing of fp8."""
    text = _text().replace("Instruct}", "Instruct, quantization: fp8}", 1)
    plan = planner(text).plan
    assert plan is not None
    assert "measured with quantization unset, planned with fp8" in plan.reasons["replica.requests_per_s"]


def test_the_table_and_the_json_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one line, and as fields."""
    path = tmp_path / "s.yaml"
    path.write_text(_text(), encoding="utf-8")
    assert app(["plan", str(path)], result_action="return_value") == 0
    said = capsys.readouterr().out
    assert "one replica holds 16 req/s within" in said
    assert "measured: 16 req/s (± 6%) of tune-20261125-101500, 2026-11-25, vLLM 0.33.0; the model says" in said
    assert app(["plan", str(path), "-o", "json"], result_action="return_value") == 0
    measured = json.loads(capsys.readouterr().out)["plan"]["one_replica"]["measured"]
    assert (measured["used"], measured["requests_per_second"], measured["ignored"]) == (True, 16.0, None)
    assert measured["model_requests_per_second"] > 16
