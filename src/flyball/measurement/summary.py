"""`Summary`: many requests in the numbers that people ask for."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from flyball.measurement.distribution import Distribution
from flyball.measurement.judging import LatencySample, is_good, sample
from flyball.measurement.record import Outcome, RequestRecord
from flyball.spec import SLO, LatencyMetric

_METRICS: tuple[LatencyMetric, ...] = ("ttft", "tpot", "e2e")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Latencies are of requests that succeeded; `outcomes` says how many did not.

    ITL pools the gaps between chunks over all requests, so a long answer weighs more; TPOT is a mean per request.
    Rates are per second of `duration_s`: from the first intended arrival to the last outcome, or the window.
    """

    start_s: float
    duration_s: float
    outcomes: Mapping[Outcome, int]
    ttft: Distribution
    tpot: Distribution
    itl: Distribution
    e2e: Distribution
    ttft_from_send: Distribution
    e2e_from_send: Distribution
    schedule_lag: Distribution
    """How late the client was; above 10 ms at p99 it may have been the bottleneck."""
    prompt_tokens: int
    output_tokens: int
    """Tokens of the successful requests counted here, from `usage`."""
    requests_per_s: float
    """Successful answers completed."""
    output_tokens_per_s: float
    """Tokens of successful requests, counted when they arrived."""
    goodput_per_s: float | None
    """Requests that succeeded and met every bound of the SLO; None without an SLO."""
    attainment: float | None
    """Their share of the requests; failed ones are in the denominator, cancelled ones that missed nothing are not."""
    samples: Mapping[LatencyMetric, LatencySample] = field(repr=False)

    @classmethod
    def of(
        cls, records: Iterable[RequestRecord], slo: SLO | None = None, window: tuple[float, float] | None = None
    ) -> Self:
        """The summary of `records`, or of those that were to arrive in `window` (seconds; the end is outside).

        In a window, completions and tokens are counted when they happened, also those of earlier arrivals.
        """
        everything = list(records)
        start, end = window if window is not None else _span(everything)
        counted = [record for record in everything if window is None or start <= record.intended_s < end]
        served = [record for record in counted if record.outcome == "ok"]
        duration = end - start
        per_second = 1 / duration if duration > 0 else 0.0
        good, judged = _good(counted, slo)
        return cls(
            start_s=start,
            duration_s=duration,
            outcomes=dict(Counter(record.outcome for record in counted)),
            ttft=_distribution(record.ttft_s for record in served),
            tpot=_distribution(record.tpot_s for record in served),
            itl=Distribution.of(np.concatenate([np.empty(0), *(np.diff(record.chunk_times_s) for record in served)])),
            e2e=_distribution(record.e2e_s for record in served),
            ttft_from_send=_distribution(record.ttft_from_send_s for record in served),
            e2e_from_send=_distribution(record.e2e_from_send_s for record in served),
            schedule_lag=_distribution(record.schedule_lag_s for record in counted),
            prompt_tokens=sum(record.prompt_tokens or 0 for record in served),
            output_tokens=sum(record.output_tokens or 0 for record in served),
            requests_per_s=_completed(everything, start, end) * per_second,
            output_tokens_per_s=sum(_tokens_between(record, start, end) for record in everything) * per_second,
            goodput_per_s=None if slo is None else good * per_second,
            attainment=None if slo is None or judged == 0 else good / judged,
            samples={metric: sample(counted, metric) for metric in _METRICS},
        )

    @property
    def count(self) -> int:
        """All requests, whatever came of them."""
        return sum(self.outcomes.values())

    @property
    def failures(self) -> int:
        """Requests that the service failed: errors, cuts, rejections and timeouts."""
        return self.count - self.outcomes.get("ok", 0) - self.outcomes.get("cancelled", 0)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; without the samples, which the records hold."""
        values: dict[str, Any] = {
            "start_s": round(self.start_s, 6),
            "duration_s": round(self.duration_s, 6),
            "requests": self.count,
            "outcomes": dict(self.outcomes),
        }
        for name in ("requests_per_s", "output_tokens_per_s", "goodput_per_s", "attainment"):
            value = getattr(self, name)
            values[name] = None if value is None else round(value, 6)
        values |= {"prompt_tokens": self.prompt_tokens, "output_tokens": self.output_tokens}
        for name in ("ttft", "tpot", "itl", "e2e", "ttft_from_send", "e2e_from_send", "schedule_lag"):
            distribution: Distribution = getattr(self, name)
            values[name] = distribution.to_dict()
        return values


def _distribution(values: Iterable[float | None]) -> Distribution:
    return Distribution.of([value for value in values if value is not None])


def _span(records: list[RequestRecord]) -> tuple[float, float]:
    if not records:
        return 0.0, 0.0
    return min(record.intended_s for record in records), max(record.end_s for record in records)


def _good(records: list[RequestRecord], slo: SLO | None) -> tuple[int, int]:
    """(good requests, requests that could be judged)."""
    if slo is None:
        return 0, 0
    bounds = slo.request_bounds()
    verdicts = [verdict for record in records if (verdict := is_good(record, bounds)) is not None]
    return sum(verdicts), len(verdicts)


def _completed(records: list[RequestRecord], start: float, end: float) -> int:
    return sum(record.outcome == "ok" and start <= record.end_s <= end for record in records)


def _tokens_between(record: RequestRecord, start: float, end: float) -> float:
    """The output tokens that arrived between; a chunk's share of the tokens is taken as equal."""
    tokens, first, last = record.output_tokens, record.first_token_s, record.last_token_s
    if record.outcome != "ok" or tokens is None or first is None or last is None or last < start or first > end:
        return 0.0
    if start <= first and last <= end:
        return tokens
    times = record.chunk_times_s or (first, last)
    return tokens * sum(start <= time <= end for time in times) / len(times)
