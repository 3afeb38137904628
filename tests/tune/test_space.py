"""Which sets of flags are tried."""

from hypothesis import given
from hypothesis import strategies as st

from flyball.spec import FlagsSpec, NumbersSpec
from flyball.tune.space import is_valid, left, place, space, takes_as_much
from flyball.tune.trial import Flags, Refusal, Trial, key

START: Flags = {"max_num_seqs": 24, "max_num_batched_tokens": 2048}


def _trial(flags: Flags, refusal: Refusal | None = None) -> Trial:
    return Trial(number=0, flags=flags, why="", expected=None, start_s=1, seconds=1, refusal=refusal)


def test_the_start_comes_first_and_is_among_them() -> None:
    """Whatever the bounds are."""
    found = space(FlagsSpec(max_num_seqs=NumbersSpec(min=8, max=64)), START, device="cuda")
    assert found[0] == START
    assert {flags["max_num_seqs"] for flags in found} == {8, 16, 24, 32, 64}
    assert len({key(flags) for flags in found}) == len(found)


def test_a_single_value_is_fixed() -> None:
    """Even if the start has another: the spec's word stands, except for the start itself."""
    found = space(FlagsSpec(max_num_seqs=NumbersSpec(values=(16,))), START, device="cuda")
    assert {flags["max_num_seqs"] for flags in found[1:]} == {16}


def test_what_changes_answers_is_tried_only_if_named() -> None:
    """KV dtype and quantisation stay as they are unless the spec lists values."""
    assert set(space(FlagsSpec(), START, device="cuda")[1]) == set(START)
    named = space(FlagsSpec(kv_cache_dtype=("auto", "fp8")), {**START, "kv_cache_dtype": "auto"}, device="cuda")
    assert {flags["kv_cache_dtype"] for flags in named} == {"auto", "fp8"}


@given(st.integers(1, 4096), st.integers(1, 4096), st.integers(1, 5000))
def test_every_set_is_one_that_vllm_takes(low: int, more: int, tokens: int) -> None:
    """At least one token a step for each sequence."""
    bounds = FlagsSpec(max_num_seqs=NumbersSpec(min=low, max=low + more))
    for flags in space(bounds, {"max_num_seqs": low, "max_num_batched_tokens": max(low, tokens)}, device="cuda"):
        assert is_valid(flags)


def test_a_set_that_does_not_start_takes_larger_ones_with_it() -> None:
    """What needs at least as much memory is not tried, what needs less is."""
    candidates = space(FlagsSpec(max_num_seqs=NumbersSpec(min=8, max=64)), START, device="cuda")
    failed = _trial({"max_num_seqs": 32, "max_num_batched_tokens": 2048}, Refusal(kind="start", cause="out of memory"))
    remaining = list(left(candidates, [failed]))
    assert {flags["max_num_seqs"] for flags in remaining} == {8, 16, 24}
    assert takes_as_much({"max_num_seqs": 64, "max_num_batched_tokens": 8192}, failed.flags)


def test_places_are_octaves() -> None:
    """Doubling a flag is one step, from wherever."""
    one, two = place({"max_num_seqs": 16}), place({"max_num_seqs": 32})
    assert two[0] - one[0] == 1
    assert place({"kv_cache_dtype": "auto"}) != place({"kv_cache_dtype": "fp8"})
