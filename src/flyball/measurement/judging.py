"""Requests judged one by one, for goodput, and sampled by metric, for percentiles with failures in them."""

from collections.abc import Mapping
from dataclasses import dataclass

from flyball.measurement.record import RequestRecord
from flyball.spec import LatencyMetric


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencySample:
    """One metric over many requests, for judging objectives."""

    served: tuple[float, ...]
    """Seconds, of requests that succeeded."""
    failures: int
    """Requests that failed, or lack a metric that they should have."""
    waited: tuple[float, ...]
    """Seconds that cancelled requests had waited for the metric in vain."""


def latency(record: RequestRecord, metric: LatencyMetric) -> float | None:
    """The headline latency of `record`."""
    match metric:
        case "ttft":
            return record.ttft_s
        case "tpot":
            return record.tpot_s
        case "e2e":
            return record.e2e_s


def is_good(record: RequestRecord, bounds: Mapping[LatencyMetric, float]) -> bool | None:
    """Whether the request succeeded and met every bound; None where a cancelled request had not missed one yet.

    A request of at most one token has no TPOT and is judged by the others.
    """
    if record.failed:
        return False
    if record.outcome == "cancelled":
        missed = any(waited > bounds[metric] for metric in bounds if (waited := _waited(record, metric)) is not None)
        return False if missed else None
    return all(
        _excused(record, metric) if (value := latency(record, metric)) is None else value <= bound
        for metric, bound in bounds.items()
    )


def sample(records: list[RequestRecord], metric: LatencyMetric) -> LatencySample:
    """What `objective_results` needs to know about `metric`."""
    finished = [record for record in records if record.outcome == "ok"]
    served = [value for record in finished if (value := latency(record, metric)) is not None]
    lacking = sum(latency(record, metric) is None and not _excused(record, metric) for record in finished)
    cancelled = [_waited(record, metric) for record in records if record.outcome == "cancelled"]
    return LatencySample(
        served=tuple(sorted(served)),
        failures=lacking + sum(record.failed for record in records),
        waited=tuple(value for value in cancelled if value is not None),
    )


def _excused(record: RequestRecord, metric: LatencyMetric) -> bool:
    return metric == "tpot" and record.output_tokens is not None and record.output_tokens <= 1


def _waited(record: RequestRecord, metric: LatencyMetric) -> float | None:
    """How long a cancelled request had waited for `metric`, or the metric itself if it was there."""
    match metric:
        case "ttft":
            return record.ttft_s if record.ttft_s is not None else record.end_s - record.intended_s
        case "tpot":
            return None
        case "e2e":
            return record.end_s - record.intended_s
