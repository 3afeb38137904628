import json

import pytest

from flyball.catalog import Accelerator, load_catalog
from flyball.errors import UsageError
from flyball.perf import ModelArchitecture, builtin_architecture
from flyball.perf.measured_formats import loads_from_json_lines, measured_load, nvidia_loads, serving_sim_load
from measured_engines import LLAMA, engine

_HEAD = (
    "id,silicon_data_source,backend_version,model_path,system,precision,isl,osl,gemm_quant_mode,moe_quant_mode,"
    "batch_size,tp_size,pp_size,attention_dp_size,moe_tp_size,moe_ep_size,silicon_ttft_ms,silicon_tpot_ms"
)


def _row(**changes: str) -> str:
    row = {
        "id": "a", "silicon_data_source": "x; silicon_concurrency=8; y", "backend_version": "0.12.0",
        "model_path": LLAMA, "system": "h200_sxm", "precision": "fp8", "isl": "1024", "osl": "128",
        "gemm_quant_mode": "fp8", "moe_quant_mode": "", "batch_size": "8", "tp_size": "2", "pp_size": "1",
        "attention_dp_size": "1", "moe_tp_size": "1", "moe_ep_size": "1", "silicon_ttft_ms": "100.5",
        "silicon_tpot_ms": "8.25",
    }  # fmt: skip
    return ",".join((row | changes).values())


def _accelerator(name: str) -> Accelerator:
    return load_catalog().accelerator(name)


def _architecture(name: str) -> ModelArchitecture:
    found = builtin_architecture(name)
    assert found is not None
    return found


def test_nvidias_rows_are_closed_loops() -> None:
    """Lengths of 0.8 to 1 times those named, as many clients as the row says, the means as measured."""
    (load,), left_out = nvidia_loads(f"{_HEAD}\n{_row()}", architecture=_architecture, accelerator=_accelerator)
    assert not left_out
    assert load.concurrency == 8
    assert (load.measured.ttft_mean_s, load.measured.tpot_mean_s) == (0.1005, 0.00825)
    assert load.measured.requests_per_s is None
    assert {819 <= each.prompt_tokens <= 1024 and 102 <= each.output_tokens <= 128 for each in load.requests} == {True}
    assert load.engine.settings.tensor_parallel_size == 2
    assert load.engine.model.quantization is not None
    assert not load.engine.async_scheduling


def test_nvidias_lengths_have_no_rhythm() -> None:
    """Successive requests of a closed loop's client differ in length, so that clients fall out of step."""
    (load,), _ = nvidia_loads(f"{_HEAD}\n{_row()}", architecture=_architecture, accelerator=_accelerator)
    lengths = [each.output_tokens for each in load.requests]
    changes = [abs(later - sooner) for sooner, later in zip(lengths, lengths[8:], strict=False)]

    assert sum(changes) / len(changes) > 0.05 * 128
    assert 0.88 * 128 < sum(lengths) / len(lengths) < 0.92 * 128


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"system": "b300_sxm"}, "catalog"),
        ({"model_path": "unknown/model"}, "built-in"),
        ({"attention_dp_size": "4"}, "split differently"),
        ({"silicon_data_source": "x"}, "no concurrency"),
        ({"silicon_data_source": "silicon_concurrency=2048"}, "KV cache"),
        ({"silicon_ttft_ms": "1100"}, "queued for longer than they ran"),
    ],
)
def test_rows_that_say_too_little_are_left_out(changes: dict[str, str], reason: str) -> None:
    """And counted by reason."""
    loads, left_out = nvidia_loads(
        f"{_HEAD}\n{_row(**changes)}", architecture=builtin_architecture, accelerator=_accelerator
    )
    assert not loads
    ((said, count),) = left_out.items()
    assert reason in said
    assert count == 1


def test_serving_sims_runs_keep_the_engines_own_times() -> None:
    """Arrivals are when the engine queued them; flags, version and KV tokens are the run's."""
    meta = {
        "model": LLAMA,
        "vllm_version": "0.19.0",
        "engine_kwargs": {"tensor_parallel_size": 1, "max_num_seqs": 32, "max_num_batched_tokens": 2048},
        "kv_cache": {"num_kv_tokens": 41408, "gpu_memory_utilization": 0.9},
        "hardware": {"device_name": "NVIDIA GeForce RTX 4090"},
    }
    rows = [
        {
            "input_toks": 100,
            "output_toks": 5,
            "queued_ts": 50.0 + t,
            "first_token_ts": 50.5 + t,
            "last_token_ts": 51 + t,
        }
        for t in (0.0, 0.25)
    ]
    text = "\n".join(map(json.dumps, rows))
    load = serving_sim_load(meta, text, source="run", architecture=_architecture, accelerator=_accelerator)
    assert load.engine.accelerator.name == "RTX-4090"
    assert load.engine.kv_cache_tokens == 41408
    assert load.engine.settings.max_num_seqs == 32
    assert [each.arrival_s for each in load.requests] == [0.0, 0.25]
    assert load.measured.ttft_mean_s == pytest.approx(0.5)
    assert load.measured.tpot_mean_s == pytest.approx(0.125)


def test_a_load_without_answers_is_refused() -> None:
    """There is nothing to fit."""
    with pytest.raises(UsageError, match="no request"):
        measured_load("empty", engine(), [], None)


@pytest.mark.parametrize("line", ["{", "[]", '{"boot": "a", "arrivals": {}, "requests": [{"start_s": 0}]}'])
def test_a_broken_line_is_named(line: str) -> None:
    """By file and number."""
    with pytest.raises(UsageError, match=r"mine\.jsonl:2"):
        loads_from_json_lines(f"\n{line}", source="mine.jsonl", engine_of=lambda boot: engine())
