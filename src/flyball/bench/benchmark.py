"""A whole measurement: which model, warm-up, load, what it shows."""

import asyncio
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import Any

from flyball.bench.client import NotOpenAIError, list_models, server_version
from flyball.bench.load import LoadSettings, run_load
from flyball.bench.progress import LoadProgress
from flyball.errors import OutsideError, UsageError
from flyball.measurement import ObjectiveResult, RequestRecord, Summary, objective_results
from flyball.spec import SLO
from flyball.workload import Workload, warm_up

LATE_CLIENT_S = 0.010
"""Schedule lag at p99 above which the client itself may have shaped the result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """What to measure."""

    url: str
    workload: Workload
    slo: SLO | None
    warm_up_requests: int
    settings: LoadSettings

    def to_dict(self) -> dict[str, Any]:
        """For JSON: all that a repetition needs, except the API key."""
        settings = asdict(self.settings)
        del settings["api_key"]
        return {
            "url": self.url,
            "workload": self.workload.shape.model_dump(mode="json", exclude_none=True),
            "seed": self.workload.seed,
            "duration_s": self.workload.duration_s,
            "requests": self.workload.count,
            "warm_up_requests": self.warm_up_requests,
            "slo": None if self.slo is None else self.slo.model_dump(mode="json", exclude_none=True),
            "settings": settings,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkResult:
    """What was measured. The warm-up's requests are in no number but their own."""

    model: str
    server_version: str | None
    warm_up: tuple[RequestRecord, ...]
    records: tuple[RequestRecord, ...]
    summary: Summary
    objectives: tuple[ObjectiveResult, ...]
    interrupted: bool

    @property
    def client_late(self) -> bool:
        """Whether the client may have been the bottleneck."""
        lag = self.summary.schedule_lag.p99_s
        return lag is not None and lag > LATE_CLIENT_S

    @property
    def objective_missed(self) -> bool:
        return any(not result.holds for result in self.objectives)

    @property
    def all_failed(self) -> bool:
        """Whether not one request was answered."""
        return self.summary.failures > 0 and "ok" not in self.summary.outcomes

    @property
    def errors(self) -> list[tuple[str, int]]:
        """What went wrong and how often, the most frequent first."""
        return Counter(f"{record.outcome}: {record.error}" for record in self.records if record.failed).most_common()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "model": self.model,
            "server_version": self.server_version,
            "interrupted": self.interrupted,
            "client_late": self.client_late,
            "objectives": [result.to_dict() for result in self.objectives],
            "summary": self.summary.to_dict(),
            "warm_up": Summary.of(self.warm_up).to_dict() if self.warm_up else None,
            "errors": [{"error": error, "requests": count} for error, count in self.errors],
        }


async def find_model(url: str, *, wanted: str | None, preferred: str | None, api_key: str | None) -> str:
    """The model to ask for: `wanted` if the server has it, else `preferred` if it has that, else its only one.

    Raises UsageError, OutsideError.
    """
    try:
        models = await list_models(url, api_key=api_key)
    except NotOpenAIError:
        if wanted is None:
            raise
        return wanted  # a gateway may let completions through and nothing else
    if wanted is not None and wanted not in models:
        raise UsageError(f"{url} has no model {wanted!r}", fix=f"it has: {', '.join(models) or 'none'}")
    if not models:
        raise OutsideError(f"{url} has no model", fix="wait until the server has loaded one")
    chosen = wanted or (preferred if preferred in models else None)
    if chosen is None and len(models) > 1:
        raise UsageError(f"{url} has several models: {', '.join(models)}", fix="choose one with --model")
    return chosen or models[0]


async def run_benchmark(
    benchmark: Benchmark, *, model: str, stop: asyncio.Event, progress: LoadProgress
) -> BenchmarkResult:
    """Warm up, load, summarise. `stop` ends it early, with what there is."""
    settings, workload = benchmark.settings, benchmark.workload
    version = await server_version(benchmark.url, api_key=settings.api_key)
    warm: list[RequestRecord] = []
    if benchmark.warm_up_requests:
        progress.begin("warm-up")
        warm = await run_load(
            benchmark.url,
            warm_up(workload, benchmark.warm_up_requests),
            model=model,
            settings=replace(settings, max_concurrency=None),
            stop=stop,
            on_sent=progress.sent,
            on_record=progress.ended,
        )
    records: list[RequestRecord] = []
    if not stop.is_set():
        progress.begin("load")
        records = await run_load(
            benchmark.url,
            workload,
            model=model,
            settings=settings,
            stop=stop,
            on_sent=progress.sent,
            on_record=progress.ended,
        )
    summary = Summary.of(records, benchmark.slo, _window(records, 0.0 if stop.is_set() else workload.duration_s or 0.0))
    return BenchmarkResult(
        model=model,
        server_version=version,
        warm_up=tuple(warm),
        records=tuple(records),
        summary=summary,
        objectives=objective_results(summary, benchmark.slo) if benchmark.slo else (),
        interrupted=stop.is_set(),
    )


def _window(records: list[RequestRecord], duration_s: float) -> tuple[float, float]:
    """From the load's start, not from the first arrival, so that rates are those of the whole time it lasted."""
    return 0.0, max([duration_s, *(record.end_s for record in records)])
