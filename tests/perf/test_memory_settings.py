from typing import Any

import pytest

from flyball.errors import UsageError
from flyball.perf import MemorySettings, memory_settings
from recorded_boots import architecture, device


def _settings(accelerator: str = "H200", model: str = "meta-llama/Llama-3.1-8B", **engine: Any) -> MemorySettings:
    return memory_settings(engine, architecture=architecture(model), device=device(accelerator), version="0.32.0")


def test_defaults_are_those_of_the_device_and_the_model() -> None:
    """An H200 takes the large batch, the model its whole context."""
    found = _settings()

    assert (found.max_num_batched_tokens, found.max_num_seqs) == (8192, 1024)
    assert (found.max_model_len, found.gpu_memory_utilization) == (131072, 0.92)
    assert _settings("A10G").max_num_seqs == 256


def test_default_limits_are_cut_to_each_other() -> None:
    """As vLLM does: a default batch is at most what all sequences can need, default sequences at most the batch."""
    assert _settings(max_num_seqs=1, max_model_len=2048).max_num_batched_tokens == 2048
    assert _settings(max_num_batched_tokens=512).max_num_seqs == 512
    assert _settings(max_num_batched_tokens=512, max_num_seqs=600).max_num_seqs == 600


@pytest.mark.parametrize(("text", "number"), [("8k", 8000), ("8K", 8192), ("1.5k", 1500), (4096, 4096), ("4096", 4096)])
def test_numbers_may_have_vllm_suffixes(text: Any, number: int) -> None:
    """Small k counts in thousands, large K in 1,024."""
    assert _settings(max_model_len=text).max_model_len == number


@pytest.mark.parametrize("automatic", ["auto", -1, None])
def test_automatic_context_is_the_models(automatic: Any) -> None:
    """Whatever stands for "as much as there is"."""
    assert _settings(max_model_len=automatic).max_model_len == 131072


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("max_num_seqs", 0, "engine.max_num_seqs: 0 is not a whole number"),
        ("max_num_seqs", "many", "'many' is not a whole number"),
        ("max_num_seqs", True, "True is not a whole number"),
        ("gpu_memory_utilization", 1.2, "1.2 is not a share"),
        ("gpu_memory_utilization", "most", "'most' is not a share"),
        ("kv_cache_dtype", "int2", "'int2' is not modelled"),
        ("dtype", "float8", "'float8' is unknown"),
        ("max_model_len", 131073, "cannot have 131073 tokens"),
    ],
)
def test_wrong_values_are_refused_with_the_flag(flag: str, value: Any, words: str) -> None:
    """Each names the flag or the value, and what it takes."""
    with pytest.raises(UsageError, match=words):
        _settings(**{flag: value})
