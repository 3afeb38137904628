"""Takes the numbers of one recorded start as the truth, to predict other flags on the same chip from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flyball.errors import UsageError
from flyball.perf.architecture import ModelArchitecture
from flyball.perf.boot_log import BootLog
from flyball.perf.memory import MemoryBudget, MemoryCorrection, memory_budget
from flyball.perf.memory_device import DeviceMemory
from flyball.perf.memory_settings import memory_settings
from flyball.units import GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class BootComparison:
    """One start beside what was predicted for it."""

    predicted: MemoryBudget
    measured_kv_cache_tokens: int | None
    correction: MemoryCorrection

    @property
    def error(self) -> float | None:
        """Of the predicted KV tokens before correction, as a share of those measured."""
        if not self.measured_kv_cache_tokens:
            return None
        return self.predicted.kv_cache.tokens / self.measured_kv_cache_tokens - 1


def compare_boot(
    boot: BootLog, architecture: ModelArchitecture, *, device: DeviceMemory, version: str
) -> BootComparison:
    """What the start shows to be different; `architecture` must be that of the model which was started.

    UsageError for a start on a CPU: its cache has the size that it was given.
    """
    if boot.device == "CPU":
        raise UsageError(
            "the log is of vLLM on a CPU: it says nothing about a GPU's memory", fix="give the log of a start on a GPU"
        )
    engine = corrected_engine(boot)
    settings = memory_settings(engine, architecture=architecture, device=device, version=version)
    total = None
    if boot.total_gib is not None and abs(boot.total_gib * GIB - device.total_bytes) > GIB / 50:
        total = round(boot.total_gib * GIB)
    known = MemoryCorrection(total_memory_bytes=total)
    predicted = memory_budget(architecture, device=device, settings=settings, version=version, correction=known)
    weights = 0 if boot.weights_gib is None else round(boot.weights_gib * GIB) - predicted.weights_bytes
    activation = _activation_factor(boot, predicted)
    graphs = 1.0
    if boot.cuda_graph_estimate_gib and predicted.cuda_graph_bytes:
        graphs = boot.cuda_graph_estimate_gib * GIB / predicted.cuda_graph_bytes
    elif boot.cuda_graph_gib and predicted.cuda_graph_bytes and not predicted.cuda_graphs_subtracted:
        graphs = boot.cuda_graph_gib * GIB / predicted.cuda_graph_bytes
    parts = MemoryCorrection(
        weights_bytes=weights, activation_factor=activation, cuda_graph_factor=graphs, total_memory_bytes=total
    )
    again = memory_budget(architecture, device=device, settings=settings, version=version, correction=parts)
    # What remains is put on the term that is measured rather than derived.
    rest = again.kv_cache.available_bytes - _available_bytes(boot, again)
    correction = MemoryCorrection(
        weights_bytes=weights,
        non_torch_bytes=rest,
        activation_factor=activation,
        cuda_graph_factor=graphs,
        total_memory_bytes=total,
    )
    return BootComparison(predicted=predicted, measured_kv_cache_tokens=boot.kv_cache_tokens, correction=correction)


def corrected_engine(boot: BootLog) -> Mapping[str, Any]:
    """The flags of the start, with the share of memory that it asked for even if that was a default."""
    engine = dict(boot.engine)
    if boot.requested_gib and boot.total_gib and "gpu_memory_utilization" not in engine:
        engine["gpu_memory_utilization"] = round(boot.requested_gib / boot.total_gib, 3)
    return engine


def _activation_factor(boot: BootLog, predicted: MemoryBudget) -> float:
    """Only before 0.27: later versions print activation together with graphs and without what stays allocated."""
    if boot.activation_gib is None or boot.consumed_gib is not None:
        return 1.0
    return boot.activation_gib * GIB / predicted.activation_bytes


def _available_bytes(boot: BootLog, predicted: MemoryBudget) -> int:
    """The pool that was measured, to half a block where the printed tokens allow it."""
    layout = predicted.kv_cache.layout
    if boot.kv_cache_tokens is not None and (layout.full_groups, layout.sliding_groups) == (1, 0):
        return boot.kv_cache_tokens // layout.block_size * layout.bytes_per_block + layout.bytes_per_block // 2
    if boot.available_kv_gib is not None:
        return round(boot.available_kv_gib * GIB)
    scale = (boot.kv_cache_tokens or 0) / max(predicted.kv_cache.tokens, 1)
    return round(predicted.kv_cache.available_bytes * scale)
