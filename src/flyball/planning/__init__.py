"""From a spec to a plan: which chips, which flags, how many replicas, what it costs, and why not otherwise. Pure."""

from flyball.planning.candidate import Candidate, OperatingPoint, Rejection
from flyball.planning.configuration import Configuration
from flyball.planning.demand import Demand, demand
from flyball.planning.derived import Derived
from flyball.planning.fleet import Replicas
from flyball.planning.interval import Estimate, LatencyEstimate
from flyball.planning.measured import Measured
from flyball.planning.money import BreakEven, Cost, SpotAssumptions, Tariff, TokenPrice
from flyball.planning.plan import Plan, PlanOutcome
from flyball.planning.rental import Rental
from flyball.planning.replica_load import Capacity
from flyball.planning.search import plan
from flyball.planning.sizing import Misfit, SizedEngine, sized

__all__ = [
    "BreakEven",
    "Candidate",
    "Capacity",
    "Configuration",
    "Cost",
    "Demand",
    "Derived",
    "Estimate",
    "LatencyEstimate",
    "Measured",
    "Misfit",
    "OperatingPoint",
    "Plan",
    "PlanOutcome",
    "Rejection",
    "Rental",
    "Replicas",
    "SizedEngine",
    "SpotAssumptions",
    "Tariff",
    "TokenPrice",
    "demand",
    "plan",
    "sized",
]
