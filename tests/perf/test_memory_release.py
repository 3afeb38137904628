import pytest

from flyball.errors import UsageError
from flyball.perf import quantized
from flyball.perf.memory_release import default_batch, default_gpu_memory_utilization, memory_rules
from flyball.units import GIB
from recorded_boots import architecture


@pytest.mark.parametrize(
    ("version", "model", "second", "subtracts"),
    [
        ("0.19.0", "meta-llama/Llama-3.1-8B", False, False),
        ("0.20.2", "meta-llama/Llama-3.1-8B", False, True),
        ("0.22.1", "Qwen/Qwen3-8B", True, False),
        ("0.22.1", "meta-llama/Llama-3.1-8B", False, True),
        ("0.23.0", "meta-llama/Llama-3.1-8B", True, False),
        ("0.24.0", "deepseek-ai/DeepSeek-V2-Lite", True, False),
        ("0.26.0", "meta-llama/Llama-3.1-8B", True, False),
        ("0.26.0", "Qwen/Qwen3-30B-A3B", False, True),
        ("0.26.0", "openai/gpt-oss-20b", False, True),
        ("0.28.0", "google/gemma-3-27b-it", True, False),
        ("0.29.0", "Qwen/Qwen3-30B-A3B", True, True),
        ("v0.33.0", "meta-llama/Llama-3.1-8B", True, True),
    ],
)
def test_runner_and_estimate_follow_the_version(version: str, model: str, second: bool, subtracts: bool) -> None:
    """The second runner took over family by family, and its estimate of graphs was a stub until 0.29."""
    rules = memory_rules(version, architecture(model))

    assert (rules.v2_runner, rules.estimates_graphs) == (second, subtracts)


def test_quantised_models_came_to_the_second_runner_later() -> None:
    """0.23 kept them on the first one, 0.24 did not."""
    model = quantized(architecture("meta-llama/Llama-3.1-8B"), "fp8")

    assert not memory_rules("0.23.0", model).v2_runner
    assert memory_rules("0.24.0", model).v2_runner


@pytest.mark.parametrize(("version", "share"), [("0.10.2", 0.9), ("0.19.1", 0.9), ("0.20.0", 0.92), ("0.32.0", 0.92)])
def test_default_share_of_memory(version: str, share: float) -> None:
    """0.92 since 0.20."""
    assert default_gpu_memory_utilization(version) == share


@pytest.mark.parametrize(
    ("version", "gib", "name", "limits"),
    [
        ("0.19.0", 79, "NVIDIA H100 80GB HBM3", (8192, 1024)),
        ("0.32.0", 79, "NVIDIA A100-SXM4-80GB", (2048, 256)),
        ("0.27.1", 178, "NVIDIA B200", (8192, 1024)),
        ("0.32.0", 178, "NVIDIA B200", (16384, 1024)),
        ("0.40.0", 22, "NVIDIA L4", (2048, 256)),
    ],
)
def test_default_batch(version: str, gib: int, name: str, limits: tuple[int, int]) -> None:
    """By memory, except on A100; the largest tier came with 0.28. Versions not in the catalog take the nearest's."""
    found = default_batch(version, memory_bytes=gib * GIB, device_name=name)

    assert (found.max_num_batched_tokens, found.max_num_seqs) == limits


def test_version_has_to_be_one() -> None:
    """A word is refused with an example."""
    with pytest.raises(UsageError, match="'newest' is not a version"):
        default_gpu_memory_utilization("newest")
