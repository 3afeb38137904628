"""`LatencyEstimate`: predicted latency with the interval in which it should lie."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from flyball.perf.calibration import Calibration
from flyball.planning.replica_load import Quantile, ReplicaLoad


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


def estimated(load: ReplicaLoad, rate: float, calibration: Calibration) -> LatencyEstimate:
    """The latency at `rate`, and that of an engine whose every step takes longer, or less, by the calibration's error.

    Such an engine is the same one on another clock, under a higher or lower rate: the interval widens near saturation.
    """
    latency = load.at(rate)

    def on_another_clock(quantile: Quantile, factor: float) -> float:
        if rate * factor >= load.saturation_rate:
            return math.inf
        return factor * load.between(rate * factor).quantiles_s[quantile]

    def estimate(quantile: Quantile, value: float) -> Estimate:
        factor = 1 + (calibration.ttft_error if quantile[0] == "ttft" else calibration.error)
        low, high = on_another_clock(quantile, 1 / factor), on_another_clock(quantile, factor)
        return Estimate(value=value, low=min(low, value), high=max(high, value))

    return LatencyEstimate(
        rate=rate,
        quantiles_s={quantile: estimate(quantile, value) for quantile, value in latency.quantiles_s.items()},
        in_system=latency.in_system,
    )
