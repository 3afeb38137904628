"""The objective in vLLM's histograms: which metric, which bucket, and the buckets that the engine must be told of."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flyball.catalog import EngineRelease
from flyball.manifests.manifest import Because
from flyball.spec import SLO
from flyball.spec.objective import LatencyMetric
from flyball.units import format_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyHistogram:
    """A histogram of vLLM: of a request as the engine sees it, from its arrival there, without gateway and network."""

    metric: str
    family: str
    """Of `--custom-histogram-buckets` (vllm/v1/metrics/buckets.py); the histograms of a family share their buckets."""
    title: str


HISTOGRAMS: Mapping[LatencyMetric, LatencyHistogram] = {
    "ttft": LatencyHistogram(
        metric="vllm:time_to_first_token_seconds", family="time_to_first_token", title="Time to first token"
    ),
    "tpot": LatencyHistogram(
        metric="vllm:request_time_per_output_token_seconds",
        family="inter_token_latency",
        title="Time per output token, mean of each request",
    ),
    "e2e": LatencyHistogram(metric="vllm:e2e_request_latency_seconds", family="request_latency", title="End to end"),
}
CUSTOM_BUCKETS = "custom_histogram_buckets"


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """One bound of the spec: at most `budget` of the requests may take longer than `bound_s`."""

    metric: LatencyMetric
    percentile: int
    bound_s: float
    bucket_s: float
    """The bucket that stands for the bound: the bound itself, or the next lower one where buckets are fixed."""

    @property
    def name(self) -> str:
        """As in labels and titles: `ttft-p95`."""
        return f"{self.metric}-p{self.percentile}"

    @property
    def histogram(self) -> LatencyHistogram:
        return HISTOGRAMS[self.metric]

    @property
    def budget(self) -> float:
        return round(1 - self.percentile / 100, 6)

    @property
    def le(self) -> str:
        """The bucket's label, as prometheus_client writes a number (`floatToGoString`)."""
        return repr(float(self.bucket_s))


def objectives(slo: SLO, release: EngineRelease) -> Iterator[Objective]:
    buckets = histogram_buckets(slo, release)
    for metric, percentile, bound_s in slo.objectives():
        histogram = HISTOGRAMS[metric]
        bounds = buckets.get(histogram.family) or _defaults(histogram, release)
        at_most = [bucket for bucket in bounds if bucket <= bound_s]
        bucket_s = at_most[-1] if at_most else bounds[0]
        yield Objective(metric=metric, percentile=percentile, bound_s=bound_s, bucket_s=bucket_s)


def histogram_buckets(slo: SLO, release: EngineRelease) -> dict[str, list[float]]:
    """What `--custom-histogram-buckets` must be, so that each bound of the objective is a bound of a bucket.

    Without that, the share of good requests is a guess between two buckets: of 200 ms, somewhere between 100 and
    250 ms. A family is here only if the defaults lack a bound; they keep theirs and get it added. Below the first
    default (300 ms of the end-to-end latency) a half and a quarter of the bound are added too, so that percentiles have
    something to interpolate between. Empty where the release has no such flag (before 0.32).
    """
    if not release.has_flag(CUSTOM_BUCKETS):
        return {}
    changed: dict[str, list[float]] = {}
    for metric, _, bound_s in slo.objectives():
        histogram = HISTOGRAMS[metric]
        bounds = changed.get(histogram.family) or _defaults(histogram, release)
        if bound_s not in bounds:
            steps = (bound_s,) if bound_s > bounds[0] else (bound_s / 4, bound_s / 2, bound_s)
            changed[histogram.family] = sorted({*bounds, *steps})
    return changed


def bucket_flag(slo: SLO, release: EngineRelease) -> dict[str, Because]:
    """The engine's flag for `histogram_buckets`, by its name; empty where there is nothing to tell."""
    buckets = histogram_buckets(slo, release)
    if not buckets:
        return {}
    bounds = sorted({format_duration(bound_s) for _, _, bound_s in slo.objectives()})
    reason = f"the objective's bounds ({', '.join(bounds)}) as bounds of buckets, so that what misses them is counted"
    return {CUSTOM_BUCKETS: Because(json.dumps(buckets, separators=(",", ":")), reason)}


def _defaults(histogram: LatencyHistogram, release: EngineRelease) -> list[float]:
    return list(release.metric(histogram.metric).buckets or ())
