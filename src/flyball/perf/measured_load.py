"""`MeasuredLoad`: a load that a real engine served, and how the step-time model would have served it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flyball.catalog import Accelerator
from flyball.perf.architecture import ModelArchitecture
from flyball.perf.cpu import CPU
from flyball.perf.efficiency import Efficiency
from flyball.perf.load import LoadRequest, serve
from flyball.perf.load_statistics import LoadStatistics
from flyball.perf.memory import memory_budget, served_model
from flyball.perf.memory_device import device_memory
from flyball.perf.memory_release import version_number
from flyball.perf.memory_settings import MemorySettings, memory_settings
from flyball.perf.step_model import StepModel

ASYNC_SCHEDULING_SINCE = (0, 14)
"""From this version on vLLM schedules ahead by default; never on a CPU, where both steps would share the cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredEngine:
    """One engine as it was started; `model` as served, that is quantised."""

    model: ModelArchitecture
    accelerator: Accelerator
    version: str
    settings: MemorySettings
    kv_cache_tokens: int
    async_scheduling: bool

    @property
    def served_name(self) -> str:
        """The model's, with its quantisation and the number of its GPUs where there are several."""
        quantization, tp = self.model.quantization, self.settings.tensor_parallel_size
        method = f" {quantization.method}-{quantization.weight_bits}" if quantization else ""
        return f"{self.model.name}{method}{f', TP {tp}' if tp > 1 else ''}"

    def step_model(self, efficiency: Efficiency) -> StepModel:
        return StepModel(self.model, self.accelerator, self.settings, efficiency)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredLoad:
    """`requests` with arrival times were an open loop, the others a closed one of `concurrency` clients."""

    name: str
    engine: MeasuredEngine
    requests: tuple[LoadRequest, ...]
    concurrency: int | None
    measured: LoadStatistics

    def predicted(self, efficiency: Efficiency) -> LoadStatistics:
        served = serve(
            self.engine.step_model(efficiency),
            self.requests,
            kv_cache_tokens=self.engine.kv_cache_tokens,
            concurrency=self.concurrency,
            async_scheduling=self.engine.async_scheduling,
        )
        return LoadStatistics.of(served)


def measured_engine(
    architecture: ModelArchitecture,
    accelerator: Accelerator,
    *,
    version: str,
    flags: Mapping[str, Any],
    kv_cache_tokens: int | None = None,
) -> MeasuredEngine:
    """The engine of those `vllm serve` flags. Without `kv_cache_tokens` its cache is what the memory budget leaves."""
    device = device_memory(accelerator)
    settings = memory_settings(flags, architecture=architecture, device=device, version=version)
    if kv_cache_tokens is None:
        budget = memory_budget(architecture, device=device, settings=settings, version=version)
        kv_cache_tokens = budget.kv_cache.tokens
    by_default = version_number(version) >= ASYNC_SCHEDULING_SINCE and accelerator.device_name != CPU
    return MeasuredEngine(
        model=served_model(architecture, settings),
        accelerator=accelerator,
        version=version,
        settings=settings,
        kv_cache_tokens=kv_cache_tokens,
        async_scheduling=bool(flags.get("async_scheduling", by_default)),
    )
