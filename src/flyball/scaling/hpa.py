"""Reads and writes the spec of an autoscaling/v2 HorizontalPodAutoscaler, in its JSON or YAML shape.

Reading fills in what the API server would fill in and refuses what it would refuse
(pkg/apis/autoscaling/v2/defaults.go, pkg/apis/autoscaling/validation/validation.go).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from flyball.errors import UsageError
from flyball.scaling.policy import (
    DEFAULT_SCALE_DOWN,
    DEFAULT_SCALE_UP,
    ExternalMetric,
    Metric,
    MetricTarget,
    ObjectMetric,
    PodsMetric,
    RatePolicy,
    ScalingBehavior,
    ScalingPolicy,
    ScalingRules,
    SelectPolicy,
)
from flyball.scaling.quantity import approximate_float, format_milli, milli_value
from flyball.scaling.validation import validated
from flyball.units import parse_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerFlags:
    """kube-controller-manager's --horizontal-pod-autoscaler-* flags with their defaults."""

    sync_period_s: float = 15
    downscale_stabilization_s: float = 300
    tolerance: float = 0.1

    @classmethod
    def from_mapping(cls, flags: Mapping[str, Any], *, where: str = "controller flags") -> "ControllerFlags":
        """From flag names without dashes in front, durations as Go writes them (`5m0s`). Unknown flags are ignored."""
        prefix = "horizontal-pod-autoscaler-"
        try:
            return cls(
                sync_period_s=parse_duration(flags.get(f"{prefix}sync-period", "15s")),
                downscale_stabilization_s=parse_duration(flags.get(f"{prefix}downscale-stabilization", "5m")),
                tolerance=float(flags.get(f"{prefix}tolerance", 0.1)),
            )
        except (ValueError, TypeError, AttributeError) as error:
            fix = 'write durations as "15s" and the tolerance as 0.1'
            raise UsageError(f"{where}: {error}", fix=fix) from error


_PositiveMilli = Annotated[int, BeforeValidator(milli_value), Field(gt=0)]
_NonNegativeFloat = Annotated[float, BeforeValidator(approximate_float), Field(ge=0)]


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, strict=True)


class _Target(_Model):
    type: Literal["AverageValue", "Value", "Utilization"]
    average_value: _PositiveMilli | None = None
    value: _PositiveMilli | None = None
    average_utilization: Any = None


class _Identifier(_Model):
    name: str = Field(min_length=1)
    selector: Any = None


class _Source(_Model):
    metric: _Identifier
    target: _Target
    described_object: Any = None


class _Metric(_Model):
    type: str
    pods: _Source | None = None
    external: _Source | None = None
    object: _Source | None = None
    resource: Any = None
    container_resource: Any = None


class _Policy(_Model):
    type: Literal["Pods", "Percent"]
    value: int = Field(gt=0)
    period_seconds: int = Field(gt=0, le=1800)


class _Rules(_Model):
    stabilization_window_seconds: int | None = Field(None, ge=0, le=3600)
    select_policy: SelectPolicy | None = None
    policies: list[_Policy] | None = Field(None, min_length=1)
    tolerance: _NonNegativeFloat | None = None


class _Behavior(_Model):
    scale_up: _Rules | None = None
    scale_down: _Rules | None = None


class _Spec(_Model):
    scale_target_ref: Any = None
    min_replicas: int | None = Field(None, ge=1)
    max_replicas: int = Field(ge=1)
    metrics: list[_Metric] = Field(min_length=1)
    behavior: _Behavior | None = None


def from_hpa(
    spec: Mapping[str, Any], flags: ControllerFlags | None = None, *, where: str = "HorizontalPodAutoscaler"
) -> ScalingPolicy:
    """The policy that `spec` amounts to under a controller with `flags`; `where` goes in front of error messages.

    Raises UsageError for a spec the API server would refuse (scale to zero among it, as long as its feature gate is
    off), and for resource metrics, which this law does not cover.
    """
    flags = flags or ControllerFlags()
    parsed = validated(_Spec, spec, where=where, fix="correct the field as autoscaling/v2 defines it")
    min_replicas = 1 if parsed.min_replicas is None else parsed.min_replicas
    if min_replicas > parsed.max_replicas:
        what = f"{where}: minReplicas {min_replicas} is more than maxReplicas {parsed.max_replicas}"
        raise UsageError(what, fix="raise maxReplicas or lower minReplicas")
    return ScalingPolicy(
        min_replicas=min_replicas,
        max_replicas=parsed.max_replicas,
        metrics=tuple(_metric(metric, f"{where}: metrics[{index}]") for index, metric in enumerate(parsed.metrics)),
        behavior=None if parsed.behavior is None else _behavior(parsed.behavior),
        sync_period_s=flags.sync_period_s,
        downscale_stabilization_s=flags.downscale_stabilization_s,
        tolerance=flags.tolerance,
    )


def to_hpa(policy: ScalingPolicy) -> dict[str, Any]:
    """The spec that `from_hpa` reads as `policy`: without scaleTargetRef, described objects and controller flags,
    and with seconds rounded up, because Kubernetes takes whole ones.
    """
    spec: dict[str, Any] = {
        "minReplicas": policy.min_replicas,
        "maxReplicas": policy.max_replicas,
        "metrics": [_metric_spec(metric) for metric in policy.metrics],
    }
    if policy.behavior is not None:
        spec["behavior"] = {
            "scaleUp": _rules_spec(policy.behavior.scale_up),
            "scaleDown": _rules_spec(policy.behavior.scale_down),
        }
    return spec


def _behavior(behavior: _Behavior) -> ScalingBehavior:
    return ScalingBehavior(
        scale_up=_rules(behavior.scale_up, DEFAULT_SCALE_UP), scale_down=_rules(behavior.scale_down, DEFAULT_SCALE_DOWN)
    )


def _metric(metric: _Metric, where: str) -> Metric:
    source = {"Pods": metric.pods, "External": metric.external, "Object": metric.object}.get(metric.type)
    if source is None:
        what = f"{where}: a metric of type {metric.type!r} with its source is not something this law computes"
        raise UsageError(
            what, fix="use type Pods, External or Object, with the source under the same name in lower case"
        )
    target = _target(source.target, metric.type, f"{where}.{metric.type.lower()}.target")
    if metric.type == "Pods":
        return PodsMetric(source.metric.name, target)
    kind = ExternalMetric if metric.type == "External" else ObjectMetric
    return kind(source.metric.name, target)


def _target(target: _Target, metric_type: str, where: str) -> MetricTarget:
    if target.type == "AverageValue" and target.average_value is not None:
        return MetricTarget("AverageValue", target.average_value)
    if target.type == "Value" and target.value is not None and metric_type != "Pods":
        return MetricTarget("Value", target.value)
    allowed = "AverageValue with averageValue" + ("" if metric_type == "Pods" else ", or Value with value")
    raise UsageError(f"{where}: {target.type} without its value, or not possible here", fix=f"use {allowed}")


def _rules(rules: _Rules | None, default: ScalingRules) -> ScalingRules:
    """`default` field by field where `rules` says nothing; policies are replaced as a whole."""
    if rules is None:
        return default
    window_s = rules.stabilization_window_seconds
    policies = tuple(RatePolicy(policy.type, policy.value, policy.period_seconds) for policy in rules.policies or ())
    return ScalingRules(
        stabilization_window_s=default.stabilization_window_s if window_s is None else window_s,
        policies=policies or default.policies,
        select_policy=rules.select_policy or default.select_policy,
        tolerance=rules.tolerance,
    )


def _metric_spec(metric: Metric) -> dict[str, Any]:
    kind = {PodsMetric: "Pods", ExternalMetric: "External", ObjectMetric: "Object"}[type(metric)]
    value_key = "averageValue" if metric.target.type == "AverageValue" else "value"
    target = {"type": metric.target.type, value_key: format_milli(metric.target.milli)}
    return {"type": kind, kind.lower(): {"metric": {"name": metric.name}, "target": target}}


def _rules_spec(rules: ScalingRules) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "selectPolicy": rules.select_policy,
        "policies": [
            {"type": policy.type, "value": policy.value, "periodSeconds": math.ceil(policy.period_s)}
            for policy in rules.policies
        ],
    }
    if rules.stabilization_window_s is not None:
        spec["stabilizationWindowSeconds"] = math.ceil(rules.stabilization_window_s)
    if rules.tolerance is not None:
        spec["tolerance"] = str(rules.tolerance)
    return spec
