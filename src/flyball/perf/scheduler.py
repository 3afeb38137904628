"""vLLM's batch scheduler in virtual steps: running sequences first, then waiting ones first come, first served.

It decides what each step computes and knows no time; `EngineReplica` adds that. While nothing but decoding happens,
many steps are taken as one (`Step.steps`), exactly: sequences finish, need KV blocks and are preempted in the step in
which they would one by one. Facts: vLLM V1 `core/sched/scheduler.py` (chunked prefill, `scheduler_reserve_full_isl`,
watermark 0, preemption by recomputation of the sequence that was admitted last).
"""

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple


@dataclass(slots=True, kw_only=True, eq=False)
class Sequence:
    """A request inside the engine. What it asks for does not change; the rest is the scheduler's."""

    index: int
    prompt_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    """Prompt tokens at the beginning that a prefix cache holds; they need blocks but no computation."""
    shared_tokens: int = 0
    """Of those, the ones that all sequences share: no block of `Scheduler.num_blocks` is for them."""
    generated: int = 0
    preemptions: int = 0
    computed: int = 0
    """Tokens of the prompt (after a preemption: and of the answer so far) that are in the KV cache."""
    joined_step: int = 0
    """The count of decode steps when it began to decode, and `joined_length` its length then."""
    joined_length: int = 0
    finish_step: int = 0
    """The decode step after which it will be complete."""
    ticket: int = 0
    """Which entry among those that will finish is its own; 0 while it does not decode."""
    blocks: int = 0

    @property
    def to_compute(self) -> int:
        return self.prompt_tokens + self.generated


class Step(NamedTuple):
    """What one engine step computes, or `steps` equal ones of pure decoding."""

    steps: int
    prefill_tokens: int
    prefill_pairs: float
    """Pairs of a computed prompt token and one it attends to, over the chunks."""
    prefill_sequences: int
    decode_sequences: int
    context_tokens: int
    """Lengths of the decoding sequences together, in the first of the steps."""
    first_tokens: tuple[Sequence, ...]
    """Those whose first token the (last) step yields."""
    finished: tuple[Sequence, ...]

    @property
    def tokens(self) -> int:
        """In each of the steps."""
        return self.prefill_tokens + self.decode_sequences


@dataclass(slots=True, kw_only=True)
class Scheduler:
    """One engine's queue, batch and KV blocks."""

    max_num_seqs: int
    max_num_batched_tokens: int
    num_blocks: int
    block_size: int = 16
    waiting: deque[Sequence] = field(default_factory=deque)
    running: dict[int, Sequence] = field(default_factory=dict)
    """By index, in the order of admission; those that left with the last step still hold their place in the next."""
    num_free: int = field(init=False)
    preemptions: int = 0
    _prefilling: list[Sequence] = field(default_factory=list)
    _decoding: int = 0
    _context: int = 0
    _clock: int = 0
    """Decode steps so far."""
    _joined: int = 0
    _finishing: list[tuple[int, int, Sequence]] = field(default_factory=list)
    _phases: list[int] = field(init=False)
    """Decoding sequences by (length - clock) modulo the block size: when they next need a block."""
    _leaving: list[Sequence] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.num_free = self.num_blocks
        self._phases = [0] * self.block_size

    @property
    def decoding(self) -> tuple[int, int]:
        """(sequences that decode, their lengths together) of the next step."""
        return self._decoding, self._context

    @property
    def num_used(self) -> int:
        return self.num_blocks - self.num_free

    @property
    def has_work(self) -> bool:
        """Whether a step now would compute anything."""
        return bool(self._decoding or self._prefilling or self.waiting)

    def add(self, sequence: Sequence) -> None:
        """Queue it. ValueError if it could never run: prompt and answer must fit in the KV cache."""
        if self._own_blocks(sequence, sequence.prompt_tokens + sequence.output_tokens) > self.num_blocks:
            raise ValueError(f"{sequence.prompt_tokens} + {sequence.output_tokens} tokens exceed the KV cache")
        self.waiting.append(sequence)

    def schedule(self, most_steps: int = 1) -> Step:
        """Decide and take the next step, or up to `most_steps` at once while they only decode. Needs `has_work`.

        What finishes keeps its place in the batch until after the next call or `release_finished`: vLLM schedules a
        step before it has seen the outcome of the one before.
        """
        # As `_blocks_for_decode(1)`, asked here in every step.
        needed = self._phases[(1 - self._clock) % self.block_size]
        crowded = needed > self.num_free and self._make_room_to_decode()
        chunks = self._chunks(admit=not crowded)
        while not chunks and not self._decoding:
            # Only what has finished, or prompts that hold each other up, stand in the way.
            if self._leaving:
                self.release_finished()
            else:
                self._preempt_last()
            chunks = self._chunks(admit=not self.running)
        decoding, context = self._decoding, self._context
        may_admit_next = bool(self.waiting) and (crowded or bool(self._leaving))
        steps = 1 if chunks or may_admit_next else self._decode_only_steps(most_steps)
        if self._leaving:
            self.release_finished()
        self._decode(steps)
        finished = tuple(self._leaving)
        if not chunks:
            return Step(steps, 0, 0.0, 0, decoding, context, (), finished)
        first = tuple(self._prefill(chunks))
        tokens = sum(chunk for _, chunk in chunks)
        pairs = sum(chunk * (sequence.computed - chunk / 2) for sequence, chunk in chunks)
        return Step(steps, tokens, pairs, len(chunks), decoding, context, first, tuple(self._leaving))

    def release_finished(self) -> None:
        """Free the places and blocks of what has finished."""
        for sequence in self._leaving:
            del self.running[sequence.index]
            self.num_free += sequence.blocks
        self._leaving.clear()

    def _own_blocks(self, sequence: Sequence, tokens: int) -> int:
        """Those for its first `tokens` tokens, without the shared ones."""
        size = self.block_size
        return -(-tokens // size) - sequence.shared_tokens // size

    def _blocks_for_decode(self, steps: int) -> int:
        """Blocks that the decoding sequences need for their next `steps` tokens."""
        size = self.block_size
        if steps == 1:  # the usual case, and asked for several times in every step
            return self._phases[(1 - self._clock) % size]
        rounds, rest = divmod(steps, size)
        need = rounds * self._decoding
        for ahead in range(rest):
            # A step stores the key and value of the newest token: the first of a block if the length is 1 modulo it.
            need += self._phases[(1 - self._clock - ahead) % size]
        return need

    def _decode_only_steps(self, most: int) -> int:
        """At most so many that nothing finishes before the last of them and the blocks suffice."""
        if most == 1:
            return 1
        self._forget_preempted()
        steps = min(most, self._finishing[0][0] - self._clock)
        if steps <= 1 or self._blocks_for_decode(steps) <= self.num_free:
            return max(1, steps)
        steps = max(1, self.num_free // self._decoding * self.block_size)
        while self._blocks_for_decode(steps + 1) <= self.num_free:
            steps += 1
        return steps

    def _decode(self, steps: int) -> None:
        if not self._decoding:
            return
        self.num_free -= self._blocks_for_decode(steps)
        self._clock += steps
        self._context += steps * self._decoding
        while self._finishing and self._finishing[0][0] <= self._clock:
            _, ticket, sequence = heappop(self._finishing)
            if sequence.ticket == ticket:  # else it was preempted
                self._leave_decoding(sequence)

    def _forget_preempted(self) -> None:
        while self._finishing and self._finishing[0][2].ticket != self._finishing[0][1]:
            heappop(self._finishing)

    def _leave_decoding(self, sequence: Sequence) -> None:
        length = sequence.joined_length + self._clock - sequence.joined_step
        sequence.generated = length - sequence.prompt_tokens
        sequence.blocks = self._own_blocks(sequence, length - 1)
        sequence.ticket = 0
        self._decoding -= 1
        self._context -= length
        self._phases[(length - self._clock) % self.block_size] -= 1
        if sequence.generated >= sequence.output_tokens:
            self._leaving.append(sequence)

    def _prefill(self, chunks: list[tuple[Sequence, int]]) -> list[Sequence]:
        """The sequences whose first token comes of it; those whose prompt is complete begin to decode."""
        first = []
        for sequence, _ in chunks:
            if sequence.computed < sequence.to_compute:
                continue
            self._prefilling.remove(sequence)
            sequence.generated += 1
            if sequence.generated == 1:
                first.append(sequence)
            if sequence.generated >= sequence.output_tokens:
                self._leaving.append(sequence)
            else:
                self._begin_decoding(sequence)
        return first

    def _begin_decoding(self, sequence: Sequence) -> None:
        length = sequence.to_compute
        sequence.joined_step, sequence.joined_length = self._clock, length
        sequence.finish_step = self._clock + sequence.output_tokens - sequence.generated
        self._joined += 1
        sequence.ticket = self._joined
        heappush(self._finishing, (sequence.finish_step, sequence.ticket, sequence))
        self._decoding += 1
        self._context += length
        self._phases[(length - self._clock) % self.block_size] += 1

    def _make_room_to_decode(self) -> bool:
        """Whether sequences had to be preempted, the last admitted first."""
        crowded = False
        while self._blocks_for_decode(1) > self.num_free:
            crowded = True
            if self._leaving:
                self.release_finished()
            else:
                self._preempt_last()
        return crowded

    def _preempt_last(self) -> None:
        _, sequence = self.running.popitem()
        if sequence in self._prefilling:
            self._prefilling.remove(sequence)
        else:
            self._leave_decoding(sequence)
        self.num_free += sequence.blocks
        sequence.blocks = sequence.computed = 0
        sequence.preemptions += 1
        self.preemptions += 1
        self.waiting.appendleft(sequence)

    def _chunks(self, *, admit: bool) -> list[tuple[Sequence, int]]:
        """(sequence, tokens of its prompt to compute now), with their blocks taken."""
        if not self._prefilling and not (admit and self.waiting):
            return []
        budget = self.max_num_batched_tokens - self._decoding
        free = self.num_free - self._blocks_for_decode(1)
        chunks: list[tuple[Sequence, int]] = []
        for sequence in self._prefilling:
            chunk = min(sequence.to_compute - sequence.computed, budget)
            more = self._own_blocks(sequence, sequence.computed + chunk) - sequence.blocks
            if chunk <= 0 or more > free:
                return chunks
            free -= self._take(sequence, chunk, more)
            chunks.append((sequence, chunk))
            budget -= chunk
        while admit and self.waiting and budget > 0 and len(self.running) < self.max_num_seqs:
            sequence = self.waiting[0]
            if self._own_blocks(sequence, sequence.to_compute) > free:
                break
            self._admit(self.waiting.popleft())
            chunk = min(sequence.to_compute - sequence.computed, budget)
            free -= self._take(sequence, chunk, self._own_blocks(sequence, sequence.computed + chunk))
            chunks.append((sequence, chunk))
            budget -= chunk
        return chunks

    def _admit(self, sequence: Sequence) -> None:
        self.running[sequence.index] = sequence
        self._prefilling.append(sequence)
        if sequence.shared_tokens or not sequence.preemptions:
            # vLLM recomputes at least the last token: its logits are what the first answer token is drawn from.
            sequence.computed = min(sequence.cached_tokens, sequence.prompt_tokens - 1)

    def _take(self, sequence: Sequence, chunk: int, blocks: int) -> int:
        self.num_free -= blocks
        sequence.blocks += blocks
        sequence.computed += chunk
        return blocks
