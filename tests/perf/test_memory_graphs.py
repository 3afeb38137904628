from typing import Any

import pytest

from flyball.perf import Shard
from flyball.perf.memory_graphs import capture_sizes
from flyball.perf.memory_rank import Rank
from flyball.perf.memory_release import memory_rules
from recorded_boots import architecture, budget, device


def _sizes(model: str = "meta-llama/Llama-3.1-8B", accelerator: str = "H100", **engine: Any) -> list[int]:
    shape, flags = architecture(model), budget(model, accelerator, **engine).settings
    rules = memory_rules("0.32.0", shape)
    return capture_sizes(Rank(model=shape, settings=flags, device=device(accelerator), rules=rules, shard=Shard()))


@pytest.mark.parametrize(
    ("flags", "count", "largest"),
    [
        ({"max_num_seqs": 1024}, 51, 512),
        ({"max_num_seqs": 256}, 51, 512),
        ({"max_num_seqs": 64}, 19, 128),
        ({"max_num_seqs": 16}, 7, 32),
        ({"max_num_seqs": 1024, "max_cudagraph_capture_size": 64}, 11, 64),
    ],
)
def test_sizes_are_those_that_vllm_lists(flags: dict[str, Any], count: int, largest: int) -> None:
    """`cudagraph_capture_sizes` of recorded starts: 51 up to 512, 1, 2, 4, 8, 16, ... up to twice max_num_seqs."""
    sizes = _sizes(**flags)

    assert (len(sizes), sizes[-1]) == (count, largest)
    assert sizes[:5] == [1, 2, 4, 8, 16]


def test_gpt_oss_captures_up_to_1024() -> None:
    """83 sizes, as its starts print."""
    sizes = _sizes("openai/gpt-oss-20b")

    assert (len(sizes), sizes[-1]) == (83, 1024)


@pytest.mark.parametrize(("seqs", "gib"), [(256, 0.59), (64, 0.22)])
def test_memory_is_near_that_of_recorded_captures(seqs: int, gib: float) -> None:
    """Llama-3.1-8B on H200 printed 0.59 and 0.22 GiB."""
    found = budget("meta-llama/Llama-3.1-8B", "H200", max_num_seqs=seqs).cuda_graph_bytes / 2**30

    assert found == pytest.approx(gib, rel=0.25)
