"""What else would make room when a model does not fit: each way with the pool that it leaves."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from flyball.errors import UsageError
from flyball.perf.architecture import ModelArchitecture
from flyball.perf.memory import NO_CORRECTION, MemoryBudget, MemoryCorrection, memory_budget
from flyball.perf.memory_device import DeviceMemory
from flyball.perf.memory_settings import MemorySettings

_CONTEXT_STEP = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class WayOut:
    """Flags to change, as `--engine` takes them, and the KV cache if they are."""

    flags: str
    kv_cache_tokens: int
    kv_cache_bytes: int
    """Of each GPU."""


def ways_out(
    architecture: ModelArchitecture,
    *,
    device: DeviceMemory,
    settings: MemorySettings,
    version: str,
    correction: MemoryCorrection = NO_CORRECTION,
) -> tuple[WayOut, ...]:
    """More GPUs, fewer bits, a shorter context: of each kind the least that fits, with a shorter context if it must."""

    def budget_of(changed: MemorySettings) -> MemoryBudget | None:
        try:
            return memory_budget(architecture, device=device, settings=changed, version=version, correction=correction)
        except UsageError:  # a split that the model does not allow is no way out
            return None

    found: dict[str, WayOut] = {}
    for kind, flags, changed in _changes(architecture, settings):
        budget = budget_of(changed)
        if budget is None or kind in found:
            continue
        shorter = budget.kv_cache.longest_request // _CONTEXT_STEP * _CONTEXT_STEP
        wants_more_gpus = kind == "tensor_parallel_size"
        shown = flags
        if not budget.fits and not wants_more_gpus and shorter >= _CONTEXT_STEP:
            shown = f"{flags} max_model_len={shorter}".strip()
            budget = budget_of(replace(changed, max_model_len=shorter))
        if budget and budget.fits:
            pool = budget.kv_cache
            found[kind] = WayOut(flags=shown, kv_cache_tokens=pool.tokens, kv_cache_bytes=pool.available_bytes)
    return tuple(found.values())


def _changes(architecture: ModelArchitecture, settings: MemorySettings) -> Iterator[tuple[str, str, MemorySettings]]:
    """(kind of way, its flags, the settings with them), the gentlest of a kind first."""
    for ranks in (2, 4, 8, 16):
        if ranks > settings.tensor_parallel_size:
            flags = f"tensor_parallel_size={ranks}"
            yield "tensor_parallel_size", flags, replace(settings, tensor_parallel_size=ranks)
    if architecture.quantization is None and settings.quantization is None:
        for method in ("fp8", "awq"):
            yield method, f"quantization={method}", replace(settings, quantization=method)
    yield "max_model_len", "", settings
