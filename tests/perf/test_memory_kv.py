import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball.perf import KVCacheCapacity, KVCacheLayout
from recorded_boots import budget


def _layout(model: str, version: str = "0.26.0") -> KVCacheLayout:
    return budget(model, "H200", version).kv_cache.layout


def test_uniform_layers_are_one_group() -> None:
    """Llama-3.1-8B: one block table for 32 layers, 2 MiB for a block of 16 tokens."""
    layout = _layout("meta-llama/Llama-3.1-8B")

    assert (layout.groups, layout.layers_per_group, layout.bytes_per_block) == (1, 32, 2 * 2**20)


@pytest.mark.parametrize(
    ("model", "full", "sliding", "layers"),
    [("google/gemma-2-27b", 1, 1, 23), ("google/gemma-3-27b-it", 1, 6, 10), ("google/gemma-3-12b-it", 1, 5, 8),
     ("google/gemma-3-4b-it", 1, 6, 5), ("openai/gpt-oss-20b", 1, 1, 12),
     ("microsoft/Phi-3-mini-4k-instruct", 0, 1, 32)],
)  # fmt: skip
def test_two_kinds_of_layers_are_cut_into_equal_groups(model: str, full: int, sliding: int, layers: int) -> None:
    """As many layers a group as the rarer kind has; the recorded block counts of Gemma 2 and 3 have these divisors."""
    layout = _layout(model)

    assert (layout.full_groups, layout.sliding_groups, layout.layers_per_group) == (full, sliding, layers)


def test_a_request_takes_whole_blocks_in_every_group() -> None:
    """Full groups hold all tokens, sliding groups the window and the steps in flight."""
    layout = KVCacheLayout(
        block_size=16, full_groups=1, sliding_groups=2, layers_per_group=4, bytes_per_token_and_layer=1024,
        sliding_window=128, tokens_in_flight=512,
    )  # fmt: skip

    assert layout.blocks_per_request(1) == 1 + 2 * 2
    assert layout.blocks_per_request(10_000) == 625 + 2 * (-(-(127 + 512) // 16) + 1)


@settings(deadline=None)
@given(tokens=st.integers(1, 200_000), blocks=st.integers(1, 100_000))
def test_longest_request_is_the_last_that_fits(tokens: int, blocks: int) -> None:
    """It fits, and one token more does not."""
    layout = _layout("google/gemma-3-27b-it")
    capacity = KVCacheCapacity(
        layout=layout, available_bytes=blocks * layout.bytes_per_block, num_blocks=blocks, tokens=0, bytes_per_token=1,
        max_model_len=tokens,
    )  # fmt: skip
    longest = capacity.longest_request

    assert capacity.holds_one_request == (tokens <= longest)
    assert layout.blocks_per_request(longest + 1) > blocks


def test_null_block_is_not_handed_out() -> None:
    """Of N blocks, N - 1 hold requests; vLLM's own figure counts all N."""
    capacity = budget("meta-llama/Llama-3.1-8B", "A10G", max_model_len=4096).kv_cache

    assert capacity.max_concurrency == capacity.num_blocks / 256
    assert capacity.concurrency(4096) == (capacity.num_blocks - 1) / 256


def test_nothing_fits_into_a_negative_pool() -> None:
    """No blocks, no tokens, no request."""
    capacity = budget("meta-llama/Llama-3.3-70B-Instruct", "L4").kv_cache

    assert capacity.available_bytes < 0
    assert (capacity.num_blocks, capacity.tokens, capacity.longest_request) == (0, 0, 0)
    assert not capacity.holds_one_request
