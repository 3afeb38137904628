from typing import Any

import pytest

from flyball.perf import WayOut, memory_budget, memory_settings, ways_out
from recorded_boots import architecture, device


def _ways(model: str, accelerator: str, **engine: Any) -> dict[str, WayOut]:
    shape, chip = architecture(model), device(accelerator)
    settings = memory_settings(engine, architecture=shape, device=chip, version="0.26.0")
    return {way.flags: way for way in ways_out(shape, device=chip, settings=settings, version="0.26.0")}


def test_a_70b_model_is_offered_two_gpus_or_fewer_bits() -> None:
    """The known answer for one A100-80GB: tp=2, or fp8 or int4 with the pool that leaves."""
    ways = _ways("meta-llama/Llama-3-70B-Instruct", "A100-80GB")

    assert "tensor_parallel_size=2" in ways
    assert "quantization=awq" in ways
    assert any(flags.startswith("quantization=fp8") for flags in ways)
    assert ways["quantization=awq"].kv_cache_tokens == pytest.approx(110_000, rel=0.05)


def test_a_context_that_is_too_long_is_shortened() -> None:
    """Qwen3-8B fits an RTX 4090, its whole context does not."""
    ways = _ways("Qwen/Qwen3-8B", "RTX-4090")

    shorter = [flags for flags in ways if flags.startswith("max_model_len=")]
    assert len(shorter) == 1
    assert 1024 <= int(shorter[0].split("=")[1]) < 40960


@pytest.mark.parametrize(("model", "chip"), [("Qwen/Qwen3-8B", "RTX-4090"), ("meta-llama/Llama-3-70B", "A100-80GB")])
def test_every_way_out_fits(model: str, chip: str) -> None:
    """The flags of each, put back, give a budget that fits with that pool."""
    for flags, way in _ways(model, chip).items():
        engine = dict(pair.split("=") for pair in flags.split())
        shape = architecture(model)
        settings = memory_settings(engine, architecture=shape, device=device(chip), version="0.26.0")
        found = memory_budget(shape, device=device(chip), settings=settings, version="0.26.0")

        assert found.fits
        assert found.kv_cache.tokens == way.kv_cache_tokens


def test_nothing_is_offered_where_nothing_helps() -> None:
    """DeepSeek-V3 does not fit sixteen L4, and it is quantised already."""
    assert _ways("deepseek-ai/DeepSeek-V3", "L4") == {}
