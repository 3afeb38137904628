"""Which sets of flags are tried: the spec's bounds, else defended ones, less what is refused already. Pure."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from flyball.spec import FlagsSpec, FlagValue
from flyball.tune.trial import Flags, Trial, key

Device = Literal["cpu", "cuda"]

MAX_NUM_SEQS = {"cpu": (2, 4, 8, 16, 32, 64), "cuda": (16, 32, 64, 128, 256, 512)}
"""Tried unless the spec says otherwise: from queueing at a few requests to where memory or the objective ends it."""
MAX_NUM_BATCHED_TOKENS = {"cpu": (512, 2048), "cuda": (2048, 8192)}
"""Short steps, in which streams wait little for long prompts, and long ones; vLLM's own defaults on small and on large
GPUs. A CPU takes seconds for the long ones."""
NUMERIC = ("max_num_seqs", "max_num_batched_tokens", "max_model_len", "gpu_memory_utilization")
"""More of them takes more memory (the last gives it to the KV cache, and leaves less for everything else)."""
WORDS = ("kv_cache_dtype", "quantization")


def space(bounds: FlagsSpec, start: Flags, *, device: Device) -> list[Flags]:
    """All sets within the bounds, the start's own values among them and the start first."""
    axes = _axes(bounds, start, device)
    found = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    valid = [flags for flags in found if is_valid(flags)]
    first = {name: start[name] for name in axes if name in start}
    return [first, *(flags for flags in valid if key(flags) != key(first))]


def _axes(bounds: FlagsSpec, start: Flags, device: Device) -> dict[str, Sequence[FlagValue]]:
    defaults: dict[str, Sequence[FlagValue]] = {
        "max_num_seqs": MAX_NUM_SEQS[device],
        "max_num_batched_tokens": MAX_NUM_BATCHED_TOKENS[device],
    }
    axes: dict[str, Sequence[FlagValue]] = {}
    for name in FlagsSpec.model_fields:
        given = getattr(bounds, name)
        numbers = given.grid() if hasattr(given, "grid") else given
        values = [*(numbers or defaults.get(name, ()))]
        if not values:
            continue  # it keeps the value that it has, given or not
        fixed = given and len(values) == 1
        if name in start and start[name] not in values and not fixed:
            values.append(start[name])
        axes[name] = sorted(values) if name in NUMERIC else values
    return axes


def is_valid(flags: Flags) -> bool:
    """Whether vLLM takes it: a step must have room for a token of each sequence."""
    tokens, sequences = flags.get("max_num_batched_tokens"), flags.get("max_num_seqs")
    return not (isinstance(tokens, int) and isinstance(sequences, int) and tokens < sequences)


def left(candidates: Iterable[Flags], trials: Sequence[Trial]) -> Iterator[Flags]:
    """Those not tried, and not taking at least as much memory as a set with which the engine did not start."""
    known = {key(trial.flags) for trial in trials}
    failed = [trial.flags for trial in trials if trial.refusal and trial.refusal.kind in ("start", "preemption")]
    for flags in candidates:
        if key(flags) not in known and not any(takes_as_much(flags, other) for other in failed):
            yield flags


def takes_as_much(one: Flags, other: Flags) -> bool:
    """Whether it can only need more memory than the other: nothing is smaller, and what is no number is equal."""
    return all(_number(one[name]) >= _number(value) if name in NUMERIC else one.get(name) == value
               for name, value in other.items() if name in one)  # fmt: skip


def place(flags: Flags) -> tuple[float, ...]:
    """Where a set lies among others: octaves of its numbers, and two octaves for another word; 0 for what is unset."""
    numbers = [math.log2(_number(flags[name])) if name in flags else 0.0 for name in NUMERIC]
    words = [2.0 * (hash_of(str(flags[name])) % 7) if name in flags else 0.0 for name in WORDS]
    return (*numbers, *words)


def hash_of(text: str) -> int:
    """The same in every process, as `hash` is not."""
    return sum(ord(letter) * (position + 1) for position, letter in enumerate(text))


def _number(value: FlagValue) -> float:
    return float(value)
