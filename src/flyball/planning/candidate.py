"""`Candidate`: a configuration that meets the objective, with its latency and cost; `Rejection`: one that cannot."""

from dataclasses import dataclass
from typing import Literal

from flyball.perf import MemoryBudget
from flyball.perf.calibration import Calibration
from flyball.planning.configuration import Configuration
from flyball.planning.derived import Derived
from flyball.planning.fleet import Replicas
from flyball.planning.interval import LatencyEstimate
from flyball.planning.measured import Measured
from flyball.planning.money import Cost, Tariff, TokenPrice
from flyball.planning.replica_load import Capacity
from flyball.planning.sizing import Engine

CostKey = tuple[bool, float, float, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """The fleet at one rate of the traffic, shared evenly."""

    rate: float
    replicas: int
    utilization: float
    """Of the rate that the replicas hold within the objective."""
    latency: LatencyEstimate
    cost: Cost
    tokens: TokenPrice


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A way to serve the workload within its objective."""

    configuration: Configuration
    tariff: Tariff
    engine: Engine
    budget: MemoryBudget
    capacity: Capacity
    saturation_rate: float
    replicas: Replicas
    typical: OperatingPoint
    peak: OperatingPoint
    one_lost: LatencyEstimate
    """At the peak, one replica gone."""
    start_s: Derived[float]
    """From the container's start to ready."""
    calibration: Calibration
    """The factors of the step times, and what predictions with them are worth."""
    measured: Measured | None = None
    """What became of the spec's `measured` record, if it has one."""

    @property
    def label(self) -> str:
        return self.configuration.label

    @property
    def capacity_type(self) -> str:
        return "spot" if self.tariff.uses_spot else "on-demand"

    @property
    def cost_key(self) -> CostKey:
        return cost_key(self.tariff, self.typical.replicas, self.peak.replicas)


def cost_key(tariff: Tariff, typical: int, peak: int) -> CostKey:
    """What candidates are ranked by: dollars at typical traffic, then at the peak, then GPUs.

    One's own machines without a price cost nothing more; others whose price is not known come last.
    """
    at_typical, at_peak = tariff.cost(typical), tariff.cost(peak)
    missing = tariff.rental.price_is_missing
    return missing, at_typical.usd_per_hour, at_peak.usd_per_hour, at_typical.accelerators, at_peak.accelerators


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why not: the reason holds the number that decided."""

    configuration: Configuration
    kind: Literal["machine", "split", "memory", "context", "floor", "replicas", "cost"]
    """What stands in the way: no such machine, heads that do not split over so many GPUs, no room, requests beyond the
    context, an idle server too slow, too many needed, or a cheaper one."""
    reason: str
    ways_out: tuple[str, ...] = ()
    shortfall: float | None = None
    """By which factor it misses: an idle server's latency over its bound, or replicas over those allowed."""

    @property
    def label(self) -> str:
        return self.configuration.label
