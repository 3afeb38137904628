"""The latency objective: percentiles of TTFT, TPOT and end-to-end latency that the service must stay under."""

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import model_validator

from flyball.spec.quantities import PositiveSeconds, SpecModel

LatencyMetric = Literal["ttft", "tpot", "e2e"]


class Percentiles(SpecModel):
    """Upper bounds in seconds by percentile, e.g. `{p95: 200ms}`."""

    p50: PositiveSeconds | None = None
    p90: PositiveSeconds | None = None
    p95: PositiveSeconds | None = None
    p99: PositiveSeconds | None = None

    @model_validator(mode="after")
    def _at_least_one_and_rising(self) -> Self:
        bounds = list(self.bounds())
        if not bounds:
            raise ValueError("give at least one percentile, for example {p95: 200ms}")
        values = [bound for _, bound in bounds]
        if values != sorted(values):
            raise ValueError("a higher percentile cannot have a lower bound")
        return self

    def bounds(self) -> Iterator[tuple[int, float]]:
        """(percentile, bound in seconds), lowest percentile first."""
        for percentile, bound in ((50, self.p50), (90, self.p90), (95, self.p95), (99, self.p99)):
            if bound is not None:
                yield percentile, bound


class SLO(SpecModel):
    """The objective; every given percentile of every given metric must hold."""

    ttft: Percentiles | None = None
    """Time to first token."""
    tpot: Percentiles | None = None
    """Time per output token after the first, a mean per request."""
    e2e: Percentiles | None = None
    """From the intended arrival to the last token."""

    @model_validator(mode="after")
    def _at_least_one(self) -> Self:
        if not list(self.objectives()):
            raise ValueError("give at least one of ttft, tpot, e2e, for example ttft: {p95: 200ms}")
        return self

    def objectives(self) -> Iterator[tuple[LatencyMetric, int, float]]:
        """(metric, percentile, bound in seconds) of every objective."""
        for metric, percentiles in self._given():
            for percentile, bound in percentiles.bounds():
                yield metric, percentile, bound

    def request_bounds(self) -> dict[LatencyMetric, float]:
        """The bound that one request must meet to count as good: that of the highest percentile given for the metric.

        With `ttft: {p50: 100ms, p99: 500ms}` a request of 400 ms is good: the median is a statement about the crowd.
        """
        return {metric: list(percentiles.bounds())[-1][1] for metric, percentiles in self._given()}

    def _given(self) -> Iterator[tuple[LatencyMetric, Percentiles]]:
        if self.ttft is not None:
            yield "ttft", self.ttft
        if self.tpot is not None:
            yield "tpot", self.tpot
        if self.e2e is not None:
            yield "e2e", self.e2e
