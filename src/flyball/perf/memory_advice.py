"""What else would make room, when a model does not fit or hardly: each way with the pool that it leaves."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from flyball.errors import UsageError
from flyball.perf.architecture import ModelArchitecture
from flyball.perf.memory import NO_CORRECTION, MemoryBudget, MemoryCorrection, memory_budget
from flyball.perf.memory_device import DeviceMemory
from flyball.perf.memory_settings import MemorySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class WayOut:
    """Flags to change, and the KV cache on each GPU if they are."""

    flags: str
    kv_cache_tokens: int
    kv_cache_bytes: int


def ways_out(
    architecture: ModelArchitecture,
    *,
    device: DeviceMemory,
    settings: MemorySettings,
    version: str,
    correction: MemoryCorrection = NO_CORRECTION,
) -> tuple[WayOut, ...]:
    """More GPUs, fewer bits, a shorter context: the least of each kind that fits, none if it does not."""

    def budget_with(changed: MemorySettings) -> MemoryBudget | None:
        try:
            budget = memory_budget(
                architecture, device=device, settings=changed, version=version, correction=correction
            )
        except UsageError:  # a split that the model does not allow is no way out
            return None
        return budget if budget.fits else None

    found = []
    for flags, changed in _changes(architecture, device, settings, version, correction):
        budget = budget_with(changed)
        if budget:
            kv_cache = budget.kv_cache
            found.append(WayOut(flags=flags, kv_cache_tokens=kv_cache.tokens, kv_cache_bytes=kv_cache.available_bytes))
    tensor_parallel = [way for way in found if way.flags.startswith("tensor_parallel_size")]
    return tuple(way for way in found if way not in tensor_parallel[1:])


def _changes(
    architecture: ModelArchitecture,
    device: DeviceMemory,
    settings: MemorySettings,
    version: str,
    correction: MemoryCorrection,
) -> Iterator[tuple[str, MemorySettings]]:
    for ranks in (2, 4, 8, 16):
        if ranks > settings.tensor_parallel_size:
            yield f"tensor_parallel_size={ranks}", replace(settings, tensor_parallel_size=ranks)
    if architecture.quantization is None and settings.quantization is None:
        for method in ("fp8", "awq"):
            yield f"quantization={method}", replace(settings, quantization=method)
    budget = memory_budget(architecture, device=device, settings=settings, version=version, correction=correction)
    shorter = budget.kv_cache.longest_request // 1024 * 1024
    if 1024 <= shorter < settings.max_model_len:
        yield f"max_model_len={shorter}", replace(settings, max_model_len=shorter)
    if settings.kv_cache_dtype == "auto":
        yield "kv_cache_dtype=fp8", replace(settings, kv_cache_dtype="fp8")
