"""`Watch`: what the monitoring of one service depends on."""

from dataclasses import dataclass

from flyball.manifests.series import Series
from flyball.spec import SLO
from flyball.spec.autoscaling import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaPrice:
    """What a replica costs in an hour. The first `on_demand_floor` replicas never run on spot."""

    on_demand_usd_per_hour: float
    spot_usd_per_hour: float | None = None
    """None: no replica runs on spot."""
    on_demand_floor: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """One service and what is expected of it."""

    series: Series
    slo: SLO
    signal: Signal
    target: float
    """The signal per replica that the autoscaler aims at."""
    autoscaler: str | None
    """Name of the HorizontalPodAutoscaler (KEDA calls its own `keda-hpa-<ScaledObject>`); None: nothing scales."""
    start_up_s: float
    """From a pod's start to its first answer, image pulled or not, as planned; twice that is called slow."""
    price: ReplicaPrice | None = None
    """None: unknown, and no money is shown."""
    has_gpus: bool = True
