"""The configuration of a HorizontalPodAutoscaler, with the API server's defaults, and the controller's flags."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

TargetType: TypeAlias = Literal["AverageValue", "Value"]
SelectPolicy: TypeAlias = Literal["Max", "Min", "Disabled"]


@dataclass(frozen=True, slots=True)
class MetricTarget:
    """`AverageValue` is per pod, `Value` is the whole; `milli` in thousandths, above 0."""

    type: TargetType
    milli: int


@dataclass(frozen=True, slots=True)
class PodsMetric:
    """One sample per pod, compared with an AverageValue target."""

    name: str
    target: MetricTarget


@dataclass(frozen=True, slots=True)
class ExternalMetric:
    """A metric of the world outside the pods; its samples are added up. What KEDA creates."""

    name: str
    target: MetricTarget


@dataclass(frozen=True, slots=True)
class ObjectMetric:
    """A metric of one Kubernetes object; computed like an External metric."""

    name: str
    target: MetricTarget


Metric: TypeAlias = PodsMetric | ExternalMetric | ObjectMetric


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """At most `value` pods, or per cent of the pods, within any `period_s` (an HPAScalingPolicy)."""

    type: Literal["Pods", "Percent"]
    value: int
    period_s: float

    def __str__(self) -> str:
        return f"{self.type} {self.value} per {self.period_s:g} s"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingRules:
    """One direction of `spec.behavior` (HPAScalingRules).

    `stabilization_window_s` None: the controller's downscale stabilisation. `tolerance` None: the controller's.
    """

    stabilization_window_s: float | None
    policies: tuple[RatePolicy, ...]
    select_policy: SelectPolicy = "Max"
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if not self.policies:
            raise ValueError("scaling rules need a policy; to forbid a direction use select_policy Disabled")


# pkg/apis/autoscaling/v2/defaults.go, which the API server applies only when spec.behavior is given.
DEFAULT_SCALE_UP = ScalingRules(
    stabilization_window_s=0, policies=(RatePolicy("Pods", 4, 15), RatePolicy("Percent", 100, 15))
)
DEFAULT_SCALE_DOWN = ScalingRules(stabilization_window_s=None, policies=(RatePolicy("Percent", 100, 15),))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingBehavior:
    """`spec.behavior`; a direction that is not given has the API server's defaults."""

    scale_up: ScalingRules = DEFAULT_SCALE_UP
    scale_down: ScalingRules = DEFAULT_SCALE_DOWN


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far below and above 1 a usage ratio may lie without any change; the bounds belong to it."""

    down: float
    up: float

    def contains(self, ratio: float) -> bool:
        return 1.0 - self.down <= ratio <= 1.0 + self.up

    def __str__(self) -> str:
        return f"{1 - self.down:g} to {1 + self.up:g} times the target"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingPolicy:
    """Everything that stays the same from sync to sync.

    The last three are kube-controller-manager's flags with their defaults
    (pkg/controller/podautoscaler/config/v1alpha1/defaults.go). `behavior` None is not the same as an empty one:
    without it there are no rate policies, and a scale-up is bounded by max(4, twice the current) at every sync.
    """

    min_replicas: int = 1
    max_replicas: int
    metrics: tuple[Metric, ...]
    behavior: ScalingBehavior | None = None
    sync_period_s: float = 15
    downscale_stabilization_s: float = 300
    tolerance: float = 0.1

    def __post_init__(self) -> None:
        if not 1 <= self.min_replicas <= self.max_replicas:
            raise ValueError(f"replicas must satisfy 1 <= min <= max, got {self.min_replicas} and {self.max_replicas}")
        if not self.metrics:
            raise ValueError("a scaling policy needs a metric")

    @property
    def tolerances(self) -> Tolerance:
        up = self.behavior.scale_up.tolerance if self.behavior else None
        down = self.behavior.scale_down.tolerance if self.behavior else None
        return Tolerance(
            down=self.tolerance if down is None else down,
            up=self.tolerance if up is None else up,
        )

    @property
    def scale_up_window_s(self) -> float:
        """No recommendation lower than this old is exceeded; 0 without behavior."""
        return self._window_s(self.behavior.scale_up) if self.behavior else 0

    @property
    def scale_down_window_s(self) -> float:
        """No recommendation higher than this old is gone below."""
        return self._window_s(self.behavior.scale_down) if self.behavior else self.downscale_stabilization_s

    def _window_s(self, rules: ScalingRules) -> float:
        # The controller truncates its flag to whole seconds where it stands in for a missing window.
        return (
            int(self.downscale_stabilization_s)
            if rules.stabilization_window_s is None
            else rules.stabilization_window_s
        )
