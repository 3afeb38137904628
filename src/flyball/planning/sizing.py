"""Engine flags from the model, the chip and the workload, each with its reason; or why it does not fit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from flyball.catalog import EngineRelease
from flyball.errors import UsageError
from flyball.perf import (
    DeviceMemory,
    MemoryBudget,
    ModelArchitecture,
    device_memory,
    memory_budget,
    memory_settings,
    ways_out,
)
from flyball.planning.configuration import SHORT_STEP, Configuration
from flyball.planning.demand import Demand
from flyball.planning.derived import GIVEN, Derived
from flyball.units import format_bytes

FEWEST_SEQUENCES = 4
"""A pool that holds fewer requests than this leaves nothing to batch: all weights are read for a few tokens."""
_CONTEXT_STEP = 1024
_SEQUENCE_STEP = 8
_ROUNDS = 2  # fewer sequences need less memory for their logits, which leaves a pool for a few more

Engine = Mapping[str, Derived[Any]]
"""vLLM's flag names, and the value of each with its reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SizedEngine:
    """Flags and the memory that they lead to."""

    engine: Engine
    budget: MemoryBudget


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """Why the engine would not start, or not be worth starting, and what would make room."""

    kind: Literal["memory", "context", "split"]
    """No room; requests beyond the model's context; a number of GPUs that its heads do not split over."""
    reason: str
    ways_out: tuple[str, ...] = ()


def sized(
    architecture: ModelArchitecture,
    configuration: Configuration,
    *,
    given: Mapping[str, Any],
    demand: Demand,
    release: EngineRelease,
) -> SizedEngine | Misfit:
    """The engine of a replica. `given` are the spec's flags, which stand above everything derived.

    UsageError if they ask for what the model cannot have.
    """
    device = device_memory(configuration.accelerator)
    engine = _before_the_pool(architecture, configuration, given=given, demand=demand, release=release)
    try:
        budget = _budget(architecture, engine, device=device, release=release)
    except UsageError as error:
        if "tensor_parallel_size" in given or configuration.tensor_parallel_size == 1:
            raise
        return Misfit(kind="split", reason=error.what.removeprefix("engine.tensor_parallel_size: "))
    if not budget.fits:
        return _misfit(architecture, budget, device=device)
    if demand.mean_tokens > budget.settings.max_model_len:
        limit = budget.settings.max_model_len
        reason = f"requests of {demand.mean_tokens:,.0f} tokens, the mean, > max_model_len {limit:,}"
        return Misfit(kind="context", reason=reason)
    holds = _holds(budget, demand)
    if holds < FEWEST_SEQUENCES:
        return _misfit(architecture, budget, device=device, holds=holds)
    for _ in range(0 if "max_num_seqs" in given else _ROUNDS):
        engine = {**engine, "max_num_seqs": _max_num_seqs(budget, demand, release, device)}
        budget = _budget(architecture, engine, device=device, release=release)
    return SizedEngine(engine=engine, budget=budget)


def _before_the_pool(
    architecture: ModelArchitecture,
    configuration: Configuration,
    *,
    given: Mapping[str, Any],
    demand: Demand,
    release: EngineRelease,
) -> dict[str, Derived[Any]]:
    """All flags but max_num_seqs, which takes what the pool holds."""
    accelerator, default = configuration.accelerator, release.gpu_memory_utilization
    engine: dict[str, Derived[Any]] = {
        "tensor_parallel_size": Derived(
            value=configuration.tensor_parallel_size, reason=f"of 1, 2, 4 and 8 {accelerator.name} a replica"
        ),
        "max_model_len": _max_model_len(architecture, demand),
        "gpu_memory_utilization": Derived(value=default, reason=f"vLLM {release.version}'s default"),
        "max_num_batched_tokens": _max_num_batched_tokens(configuration, demand, given),
    }
    if configuration.quantization is not None:
        reason = "the weights as they are do not fit, and this chip computes in fp8"
        engine["quantization"] = Derived(value=configuration.quantization, reason=reason)
    if accelerator.compute_capability < (8, 0) and architecture.dtype == "bfloat16":
        engine["dtype"] = Derived(value="float16", reason=f"{accelerator.name} has no bfloat16 (needs capability 8.0)")
    return {**engine, **{name: Derived(value=value, reason=GIVEN) for name, value in given.items()}}


def _max_model_len(architecture: ModelArchitecture, demand: Demand) -> Derived[int]:
    longest = demand.longest_request.value
    wanted = -(-longest // _CONTEXT_STEP) * _CONTEXT_STEP
    if wanted > architecture.max_model_len:
        return Derived(
            value=architecture.max_model_len,
            reason=f"the model's own context; the longest request ({longest:,}) exceeds it",
        )
    return Derived(
        value=wanted,
        reason=f"the longest request has {longest:,} tokens ({demand.longest_request.reason}); reserves no memory",
    )


def _max_num_batched_tokens(configuration: Configuration, demand: Demand, given: Mapping[str, Any]) -> Derived[int]:
    sequences = given.get("max_num_seqs")
    if isinstance(sequences, int) and sequences > configuration.max_num_batched_tokens:
        return Derived(value=sequences, reason="max_num_seqs: vLLM wants a token a step for each sequence")
    reason = (
        f"short steps, so that streams wait less for the {demand.p95_prompt_tokens:,} tokens of a long prompt (p95)"
        if configuration.max_num_batched_tokens == SHORT_STEP
        else f"long steps: with {SHORT_STEP:,} tokens a step prompts wait too long for each other"
    )
    return Derived(value=configuration.max_num_batched_tokens, reason=reason)


def _max_num_seqs(budget: MemoryBudget, demand: Demand, release: EngineRelease, device: DeviceMemory) -> Derived[int]:
    """What the pool holds of requests of mean length, never more than the version's own default on this chip."""
    pool, tokens = budget.kv_cache, round(demand.mean_tokens)
    shared = round(demand.mean_shared_tokens(budget.settings.block_size))
    length = f"{tokens:,} tokens, the mean" + (f", {shared:,} of them shared" if shared else "")
    default = release.batch_defaults(memory_bytes=device.total_bytes, device_name=device.device_name).max_num_seqs
    holds = int(_holds(budget, demand))
    step = budget.settings.max_num_batched_tokens
    if step < min(default, holds):
        return Derived(value=step, reason="max_num_batched_tokens: vLLM wants a token a step for each sequence")
    if holds >= default:
        reason = f"vLLM {release.version}'s default here; the pool of {pool.tokens:,} tokens holds {holds:,} requests"
        return Derived(value=default, reason=reason)
    value = max(FEWEST_SEQUENCES, holds // _SEQUENCE_STEP * _SEQUENCE_STEP)
    reason = f"the pool of {pool.tokens:,} tokens holds {holds:,} requests of {length}; more would"
    return Derived(value=value, reason=f"{reason} only preempt each other")


def _holds(budget: MemoryBudget, demand: Demand) -> float:
    """Requests of mean length that the pool holds at once."""
    shared = round(demand.mean_shared_tokens(budget.settings.block_size))
    return budget.kv_cache.concurrency(round(demand.mean_tokens), shared_tokens=shared)


def _budget(
    architecture: ModelArchitecture, engine: Engine, *, device: DeviceMemory, release: EngineRelease
) -> MemoryBudget:
    flags = {name: flag.value for name, flag in engine.items()}
    settings = memory_settings(flags, architecture=architecture, device=device, version=release.version)
    return memory_budget(architecture, device=device, settings=settings, version=release.version)


def _gb(count: float) -> str:
    """In units of 1e9 bytes, as model cards count."""
    return f"{count / 1e9:.0f} GB" if count >= 1e11 else f"{count / 1e9:.1f} GB"


def _misfit(
    architecture: ModelArchitecture, budget: MemoryBudget, *, device: DeviceMemory, holds: float | None = None
) -> Misfit:
    if holds is not None:
        reason = f"the KV pool of {budget.kv_cache.tokens:,} tokens holds {holds:.1f} requests of mean length"
    elif budget.weights_bytes > budget.requested_bytes:
        reason = f"weights {_gb(budget.weights_bytes)} > {_gb(budget.requested_bytes)} usable"
    else:
        available = max(budget.kv_cache.available_bytes, 0)
        reason = (
            f"weights {_gb(budget.weights_bytes)} and {_gb(budget.used_bytes - budget.weights_bytes)}"
            f" of other needs leave {_gb(available)} of {_gb(budget.requested_bytes)} for the KV cache:"
            f" less than one request of {budget.settings.max_model_len:,} tokens"
        )
    if budget.settings.tensor_parallel_size > 1:
        reason += " on each GPU"
    ways = ways_out(architecture, device=device, settings=budget.settings, version=budget.version)
    return Misfit(
        kind="memory",
        reason=reason,
        ways_out=tuple(
            f"{way.flags} leaves a pool of {way.kv_cache_tokens:,} tokens ({format_bytes(way.kv_cache_bytes)} a GPU)"
            for way in ways
        ),
    )
