"""`Estimate`: a predicted number with the interval in which it should lie."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from flyball.planning.replica_load import Latency, Quantile

CALIBRATED_ERROR = 0.10
"""Of step times on a chip whose factors were fitted to measurements: the bar that saturated throughput has to meet."""
UNCALIBRATED_ERROR = 0.35
"""With the factors of another chip: what published planners of that kind are off by on new chips is 15 to 45 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Seconds; `high` is infinite where the engine might not keep up at all."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyEstimate:
    """One replica's latency at a rate, by metric and percentile."""

    rate: float
    quantiles_s: Mapping[Quantile, Estimate]
    in_system: float


def estimated(latency: Latency, *, limit_rate: float, error: float) -> LatencyEstimate:
    """The latency with its interval: an engine slower by `error` is also fuller, more so near the limit.

    Time in a queue goes with 1 / (1 - load); the interval is that of all steps longer, or shorter, by `error`.
    """
    load = min(latency.rate / limit_rate, 0.999)

    def scaled(factor: float) -> float:
        return math.inf if load * factor >= 1 else factor * (1 - load) / (1 - load * factor)

    low, high = scaled(1 / (1 + error)), scaled(1 + error)
    return LatencyEstimate(
        rate=latency.rate,
        quantiles_s={
            quantile: Estimate(value=value, low=value * low, high=value * high)
            for quantile, value in latency.quantiles_s.items()
        },
        in_system=latency.in_system,
    )
