"""`Candidate`: a configuration that meets the objective, with its latency and cost; `Rejection`: one that cannot."""

from dataclasses import dataclass

from flyball.perf import MemoryBudget
from flyball.planning.configuration import Configuration
from flyball.planning.derived import Derived
from flyball.planning.fleet import Replicas
from flyball.planning.interval import LatencyEstimate
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
    speed: str
    """Where the speed factors come from."""

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

    One's own machines without a price cost nothing more; machines that nobody has described come last.
    """
    at_typical, at_peak = tariff.cost(typical), tariff.cost(peak)
    assumed = tariff.rental.machine.source == "assumed"
    return assumed, at_typical.usd_per_hour, at_peak.usd_per_hour, at_typical.accelerators, at_peak.accelerators


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Why not: the reason holds the number that decided."""

    configuration: Configuration
    reason: str
    ways_out: tuple[str, ...] = ()
    floor_s: float | None = None
    """The TTFT, or what else is missed, of an idle server, where that alone is too slow."""

    @property
    def label(self) -> str:
        return self.configuration.label
