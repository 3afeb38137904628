import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flyball.workload import prompt_text


@given(st.integers(1, 3000), st.integers(0, 500), st.integers(0, 2**32))
def test_a_prompt_has_one_word_a_token(tokens: int, shared: int, seed: int) -> None:
    """The text has as many words as tokens were asked for, all plain, with or without a shared beginning."""
    text = prompt_text(tokens, np.random.default_rng(seed), shared_prefix_tokens=shared)
    words = text.split(" ")
    assert len(words) == tokens
    assert all(word.isascii() and word.isalpha() and word.islower() for word in words)


def test_prompts_share_no_cache_block() -> None:
    """Without a prefix no two of 5,000 prompts begin with the same 16 words, vLLM's block of cached tokens."""
    rng = np.random.default_rng(0)
    beginnings = {" ".join(prompt_text(64, rng).split()[:16]) for _ in range(5_000)}
    assert len(beginnings) == 5_000


def test_prompts_share_exactly_the_asked_prefix() -> None:
    """The first words are those asked for and the same in all prompts; what follows is each prompt's own."""
    prompts = [prompt_text(100, np.random.default_rng(seed), shared_prefix_tokens=40).split() for seed in range(50)]
    assert len({tuple(words[:40]) for words in prompts}) == 1
    assert len({tuple(words[40:56]) for words in prompts}) == 50


def test_a_prompt_shorter_than_the_prefix_keeps_a_word_of_its_own() -> None:
    """A short prompt is the beginning of the prefix and one drawn word."""
    drawn = {prompt_text(10, np.random.default_rng(seed), shared_prefix_tokens=40) for seed in range(30)}
    assert len({text.rsplit(" ", 1)[0] for text in drawn}) == 1
    assert len(drawn) > 20
