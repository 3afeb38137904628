"""HorizontalPodAutoscalers and KEDA ScaledObjects, in one vocabulary."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from flyball.lint.adapter import AdapterRule
from flyball.lint.node import Node
from flyball.lint.pods import same_namespace
from flyball.lint.promql import Expression, parse_promql, selectors
from flyball.lint.reading import KubernetesObject
from flyball.scaling import milli_value

SignalKind = Literal["resource", "pods", "object", "external", "prometheus", "other"]
_MEASURES = (
    (re.compile(r"num_requests_waiting|(?<![a-z])(waiting|queued?)(?![a-z])(?!_time)"), "waiting"),
    (re.compile(r"num_requests_running|(?<![a-z])running(?![a-z])"), "running"),
    (re.compile(r"(kv|gpu)_cache_usage"), "kv"),
    (re.compile(r"DCGM_FI_DEV_GPU_UTIL|gpu_util", re.IGNORECASE), "gpu_util"),
    (re.compile(r"DCGM_FI_DEV_FB_USED|fb_used", re.IGNORECASE), "gpu_memory"),
    (re.compile(r"tokens"), "tokens"),
    (re.compile(r"_seconds|latency|ttft|itl"), "latency"),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Signal:
    """One metric of an HPA or one trigger of a ScaledObject."""

    node: Node
    kind: SignalKind
    metric: str
    """The metric's or the resource's name, or the type of a trigger that is no Prometheus query."""
    target: Node
    target_type: str
    """AverageValue, Value or Utilization."""
    query: Node | None = None
    rule: AdapterRule | None = None
    """The adapter's rule that this metric comes from, if it is among the documents."""

    @property
    def named(self) -> Node:
        """The query, or what names the metric."""
        if self.query is not None:
            return self.query
        kind = self.node.at("type").text
        source = self.node.at(kind[:1].lower() + kind[1:])
        found = [name for name in (source.at("metric", "name"), source.at("name")) if name.exists]
        return found[0] if found else self.node

    @property
    def target_value(self) -> float | None:
        try:
            return milli_value(self.target.text) / 1000
        except (ValueError, OverflowError):
            return None

    @property
    def expression(self) -> Expression | None:
        if self.query is not None:
            return parse_promql(self.query.text)
        return self.rule.expression if self.rule else None

    @property
    def measures(self) -> frozenset[str]:
        """waiting, running, kv, tokens, latency, gpu_util, gpu_memory, or `other`."""
        if self.kind in ("resource", "other"):
            return frozenset({self.metric})
        expression = self.expression
        if expression is None:
            return measured((self.metric,)) if self.query is None else frozenset({"other"})
        return measured(each.name for each in selectors(expression))


def measured(names: Iterable[str]) -> frozenset[str]:
    """What metrics of these names measure; a name may say two things (`running_and_waiting`)."""
    found: set[str] = set()
    for name in names:
        found |= {measure for pattern, measure in _MEASURES if pattern.search(name)} or {"other"}
    return frozenset(found)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scaler:
    """What scales one target."""

    object: KubernetesObject
    target: Node
    """`scaleTargetRef`."""
    minimum: Node
    maximum: Node
    min_replicas: int
    max_replicas: int
    behavior: Node
    signals: tuple[Signal, ...]

    @property
    def is_keda(self) -> bool:
        return self.object.kind == "ScaledObject"

    @property
    def target_kind(self) -> str:
        return self.target.at("kind").text or "Deployment"

    @property
    def has_formula(self) -> bool:
        """Whether KEDA computes the metric from all triggers, so that no trigger's own target counts."""
        return self.object.spec.at("advanced", "scalingModifiers", "formula").exists

    @property
    def measures(self) -> frozenset[str]:
        return frozenset(measure for signal in self.signals for measure in signal.measures)

    def scales(self, each: KubernetesObject) -> bool:
        return (
            each.kind == self.target_kind
            and each.name == self.target.at("name").text
            and same_namespace(each, self.object)
        )


def scaler_of(each: KubernetesObject, rules: Sequence[AdapterRule]) -> Scaler | None:
    """The scaler that an object is; None if it is none, or if KEDA made it."""
    if each.kind == "HorizontalPodAutoscaler" and not _made_by_keda(each):
        least, most = each.spec.at("minReplicas"), each.spec.at("maxReplicas")
        behavior, signals, default = each.spec.at("behavior"), tuple(_hpa_signals(each, rules)), 1
    elif each.kind == "ScaledObject":
        least, most = each.spec.at("minReplicaCount"), each.spec.at("maxReplicaCount")
        behavior = each.spec.at("advanced", "horizontalPodAutoscalerConfig", "behavior")
        signals, default = tuple(_triggers(each)), 0
    else:
        return None
    return Scaler(
        object=each,
        target=each.spec.at("scaleTargetRef"),
        minimum=least,
        maximum=most,
        min_replicas=default if least.number is None else int(least.number),
        max_replicas=100 if most.number is None else int(most.number),  # KEDA's default; an HPA must say it
        behavior=behavior,
        signals=signals,
    )


def _made_by_keda(each: KubernetesObject) -> bool:
    owners = each.root.at("metadata", "ownerReferences").items()
    return any(owner.at("kind").text == "ScaledObject" for owner in owners)


def _hpa_signals(each: KubernetesObject, rules: Sequence[AdapterRule]) -> Iterator[Signal]:
    old = each.spec.at("targetCPUUtilizationPercentage")
    if old.exists:
        yield Signal(node=old, kind="resource", metric="cpu", target=old, target_type="Utilization")
    for metric in each.spec.at("metrics").items():
        kind = metric.at("type").text
        source = metric.at(kind[:1].lower() + kind[1:])
        name = source.at("name").text or source.at("metric", "name").text
        target_type = source.at("target", "type").text
        field = "averageUtilization" if target_type == "Utilization" else target_type[:1].lower() + target_type[1:]
        known: dict[str, SignalKind] = {
            "Resource": "resource", "ContainerResource": "resource", "Pods": "pods", "Object": "object",
            "External": "external",
        }  # fmt: skip
        rule = next((rule for rule in rules if rule.metric == name and rule.is_external == (kind == "External")), None)
        yield Signal(
            node=metric,
            kind=known.get(kind, "other"),
            metric=name or kind,
            target=source.at("target", field),
            target_type=target_type,
            rule=rule,
        )


def _triggers(each: KubernetesObject) -> Iterator[Signal]:
    for trigger in each.spec.at("triggers").items():
        kind = trigger.at("type").text
        metadata = trigger.at("metadata")
        if kind in ("cpu", "memory"):
            target_type = trigger.at("metricType").text or metadata.at("type").text
            yield Signal(
                node=trigger, kind="resource", metric=kind, target=metadata.at("value"), target_type=target_type
            )
            continue
        is_query = kind == "prometheus"
        yield Signal(
            node=trigger,
            kind="prometheus" if is_query else "other",
            metric=kind,
            target=metadata.at("threshold"),
            target_type=trigger.at("metricType").text or "AverageValue",
            query=metadata.at("query") if is_query else None,
        )
