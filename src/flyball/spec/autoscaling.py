"""The `scaling` section: bounds, the signal, and HPA v2's behaviour under Kubernetes' own names in snake case."""

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from flyball.spec.quantities import PositiveSeconds, Seconds, SpecModel, at_most

Signal = Literal["in_system", "waiting", "kv"]


class PolicySpec(SpecModel):
    """At most `value` pods or per cent within `period`."""

    type: Literal["Pods", "Percent"]
    value: PositiveInt
    period: Annotated[PositiveSeconds, at_most(1800)]


class RulesSpec(SpecModel):
    """One direction of HPA v2's `behavior`. Absent fields take the API server's defaults."""

    stabilization_window: Annotated[Seconds, at_most(3600)] | None = None
    select_policy: Literal["Max", "Min", "Disabled"] | None = None
    policies: Annotated[tuple[PolicySpec, ...], Field(min_length=1)] | None = None
    tolerance: Annotated[float, Field(ge=0)] | None = None


class BehaviorSpec(SpecModel):
    """HPA v2's `behavior`."""

    scale_up: RulesSpec = RulesSpec()
    scale_down: RulesSpec = RulesSpec()


class ScalingSpec(SpecModel):
    """How many replicas, and what decides."""

    min: NonNegativeInt = 1
    max: PositiveInt = 3
    by: Literal["keda", "prometheus-adapter"] = "keda"
    """Who feeds the HPA on Kubernetes."""
    signal: Signal = "in_system"
    """in_system: running + waiting requests (the work in the system); waiting: the queue alone, which reads 0 while
    every replica is full; kv: share of the KV cache in use."""
    target: Annotated[float, Field(gt=0)] | None = None
    """The signal per replica to aim at; null derives it from the engine's concurrency."""
    behavior: BehaviorSpec | None = None
    """Rate limits and windows; null derives them from the start-up time."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.max < self.min:
            raise ValueError(f"max {self.max} is below min {self.min}")
        if self.min == 0:
            raise ValueError(
                "min 0 needs a signal that outlives the last replica, and vLLM's metrics vanish with it; use min 1"
            )
        return self
