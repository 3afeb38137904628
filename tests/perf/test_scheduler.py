"""The scheduler against a plain one that knows every sequence, step by step."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball.perf.scheduler import Scheduler, Sequence, Step

_lengths = st.lists(st.tuples(st.integers(1, 90), st.integers(1, 70)), min_size=1, max_size=24)


def _scheduler(blocks: int = 1000, seqs: int = 8, tokens: int = 64, size: int = 16) -> Scheduler:
    return Scheduler(max_num_seqs=seqs, max_num_batched_tokens=tokens, num_blocks=blocks, block_size=size)


def _sequences(lengths: list[tuple[int, int]]) -> list[Sequence]:
    return [
        Sequence(index=index, prompt_tokens=prompt, output_tokens=output)
        for index, (prompt, output) in enumerate(lengths)
    ]


def _to_end(scheduler: Scheduler, most_steps: int) -> tuple[list[Step], dict[int, int]]:
    """All steps, and after how many of them each sequence was complete."""
    steps: list[Step] = []
    ended: dict[int, int] = {}
    taken = 0
    while scheduler.has_work:
        step = scheduler.schedule(most_steps)
        taken += step.steps
        steps.append(step)
        ended |= {sequence.index: taken for sequence in step.finished}
    scheduler.release_finished()
    return steps, ended


@settings(deadline=None)
@given(lengths=_lengths, blocks=st.integers(10, 60), seqs=st.integers(1, 10))
def test_many_steps_at_once_are_the_same_steps(lengths: list[tuple[int, int]], blocks: int, seqs: int) -> None:
    """Every sequence ends in the same step, and as many are preempted, whether steps are taken singly or in runs."""
    runs = []
    for most in (1, 1 << 30):
        scheduler = _scheduler(blocks=blocks, seqs=seqs)
        for sequence in _sequences(lengths):
            scheduler.add(sequence)
        steps, ended = _to_end(scheduler, most)
        decoded = sum(step.steps * step.decode_sequences for step in steps)
        runs.append((ended, scheduler.preemptions, decoded, sum(step.steps for step in steps)))
    assert runs[0] == runs[1]


@settings(deadline=None)
@given(lengths=_lengths, blocks=st.integers(10, 60), seqs=st.integers(1, 10), tokens=st.integers(16, 128))
def test_limits_hold_in_every_step(lengths: list[tuple[int, int]], blocks: int, seqs: int, tokens: int) -> None:
    """No step exceeds the token budget, the batch or the blocks; in the end everything ran and all blocks are free."""
    scheduler = _scheduler(blocks=blocks, seqs=seqs, tokens=max(tokens, seqs))
    waiting = _sequences(lengths)
    for sequence in waiting:
        scheduler.add(sequence)
    while scheduler.has_work:
        step = scheduler.schedule(1)
        assert 0 < step.tokens <= scheduler.max_num_batched_tokens
        assert len(scheduler.running) <= seqs
        assert 0 <= scheduler.num_free <= blocks
    scheduler.release_finished()
    assert scheduler.num_free == blocks
    assert all(sequence.generated == sequence.output_tokens for sequence in waiting)


@settings(deadline=None)
@given(lengths=_lengths)
def test_work_is_conserved_without_preemption(lengths: list[tuple[int, int]]) -> None:
    """Every prompt token is computed once, every answer token but the first decoded once."""
    scheduler = _scheduler()
    for sequence in _sequences(lengths):
        scheduler.add(sequence)
    steps, ended = _to_end(scheduler, 1 << 30)
    assert scheduler.preemptions == 0
    assert sum(step.prefill_tokens for step in steps) == sum(prompt for prompt, _ in lengths)
    assert sum(step.prefill_pairs for step in steps) == pytest.approx(sum(prompt**2 / 2 for prompt, _ in lengths))
    assert sum(step.steps * step.decode_sequences for step in steps) == sum(output - 1 for _, output in lengths)
    assert set(ended) == set(range(len(lengths)))


def test_a_long_prompt_is_computed_in_chunks_beside_decoding() -> None:
    """Decoding sequences come first in the budget; the prompt gets what is left, step by step."""
    scheduler = _scheduler(tokens=64)
    short, long = _sequences([(10, 20), (150, 5)])
    scheduler.add(short)
    scheduler.schedule()
    scheduler.add(long)
    chunks = [scheduler.schedule() for _ in range(3)]
    assert [step.prefill_tokens for step in chunks] == [63, 63, 24]
    assert all(step.decode_sequences == 1 for step in chunks)
    assert [step.first_tokens for step in chunks] == [(), (), (long,)]


def test_first_come_first_served() -> None:
    """A prompt that does not fit yet holds back a smaller one behind it."""
    scheduler = _scheduler(blocks=6)
    first, big, small = _sequences([(60, 10), (60, 10), (5, 2)])
    for sequence in (first, big, small):
        scheduler.add(sequence)
    assert scheduler.schedule().first_tokens == (first,)
    assert list(scheduler.waiting) == [big, small]


def test_a_place_is_free_one_step_after_its_sequence_ended() -> None:
    """A step is scheduled before the outcome of the one before is seen, so what ended in it still counts."""
    scheduler = _scheduler(seqs=2)
    first, other, third = _sequences([(8, 2), (8, 9), (8, 2)])
    for sequence in (first, other, third):
        scheduler.add(sequence)
    scheduler.schedule()
    assert scheduler.schedule().finished == (first,)
    assert scheduler.schedule().first_tokens == ()
    assert scheduler.schedule().first_tokens == (third,)


def test_the_last_admitted_is_preempted_and_computes_again() -> None:
    """When blocks run out the newest sequence gives its own back and returns to the head of the queue."""
    scheduler = _scheduler(blocks=4)
    old, new = _sequences([(30, 30), (30, 30)])
    for sequence in (old, new):
        scheduler.add(sequence)
    steps, ended = _to_end(scheduler, 1 << 30)
    assert (old.preemptions, new.preemptions) == (0, 1)
    assert ended[old.index] < ended[new.index]
    assert sum(step.prefill_tokens for step in steps) > 60


def test_shared_tokens_take_neither_blocks_nor_computation() -> None:
    """Two prompts of 48 tokens, 32 of them shared, fit into two blocks of 16; the cache hits after a preemption too."""
    scheduler = Scheduler(max_num_seqs=8, max_num_batched_tokens=100, num_blocks=2)
    for index in range(2):
        scheduler.add(Sequence(index=index, prompt_tokens=48, output_tokens=2, cached_tokens=32, shared_tokens=32))
    step = scheduler.schedule()
    assert (step.prefill_tokens, step.prefill_sequences, scheduler.num_free) == (32, 2, 0)
    step = scheduler.schedule()  # each needs a block for its 49th token: the younger one has to go
    assert (step.decode_sequences, scheduler.preemptions) == (1, 1)
    step = scheduler.schedule()
    assert step.prefill_tokens == 17
    assert not scheduler.has_work
    scheduler.release_finished()
    assert scheduler.num_free == 2


def test_cached_tokens_take_blocks_but_no_computation() -> None:
    """All but the last token of a prompt can come from the prefix cache."""
    scheduler = _scheduler()
    scheduler.add(Sequence(index=0, prompt_tokens=48, output_tokens=3, cached_tokens=48))
    step = scheduler.schedule()
    assert step.prefill_tokens == 1
    assert scheduler.num_used == 3


def test_what_can_never_fit_is_refused() -> None:
    """Rather than queued for ever."""
    with pytest.raises(ValueError, match="exceed"):
        _scheduler(blocks=4).add(Sequence(index=0, prompt_tokens=60, output_tokens=5))
