"""ScaledObject -> HPA -> Deployment, read as one chain: what the signal is, what it is held to, what was decided."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flyball.cluster.objects import PlainObject, dig, key_of
from flyball.scaling.quantity import format_milli, milli_value

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One metric of an HPA. `current` is UNKNOWN where the HPA got no value."""

    name: str
    current: str
    target: str
    kind: str
    """AverageValue (a replica), Value, Utilization."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A condition that is not as it should be."""

    source: str
    type: str
    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingChain:
    """How one Deployment is scaled."""

    deployment: str
    scaled_object: str
    hpa: str
    min_replicas: int
    max_replicas: int
    current: int
    desired: int
    signals: tuple[Signal, ...]
    conditions: tuple[Condition, ...]
    """The ones that need attention."""
    remarks: tuple[str, ...]
    """What limits or pauses it, though nothing is wrong."""
    decisions: tuple[str, ...]
    """The last ones, newest first, in the autoscaler's words."""

    @property
    def is_working(self) -> bool:
        return not self.conditions


def scaling_chains(
    deployments: Iterable[PlainObject],
    hpas: Sequence[PlainObject],
    scaled_objects: Sequence[PlainObject],
    events: Sequence[PlainObject],
) -> tuple[ScalingChain, ...]:
    """One chain for every Deployment that something scales. `events` are the namespace's, oldest first."""
    chains: list[ScalingChain] = []
    for deployment in deployments:
        name = key_of(deployment).name
        hpa = next((each for each in hpas if _target(each) == name), None)
        scaled = next((each for each in scaled_objects if _target(each) == name), None)
        if hpa is not None or scaled is not None:
            chains.append(_chain(name, hpa, scaled, events))
    return tuple(chains)


def _chain(
    deployment: str, hpa: PlainObject | None, scaled: PlainObject | None, events: Sequence[PlainObject]
) -> ScalingChain:
    body = hpa or {}
    spec, status = body.get("spec") or {}, body.get("status") or {}
    name = key_of(body).name
    sources = {("HorizontalPodAutoscaler", name)} | ({("ScaledObject", key_of(scaled).name)} if scaled else set())
    conditions = [*(_troubles(scaled, "ScaledObject") if scaled else ()), *_hpa_troubles(hpa)]
    return ScalingChain(
        deployment=deployment,
        scaled_object=key_of(scaled).name if scaled else "",
        hpa=name,
        min_replicas=int(spec.get("minReplicas") or dig(scaled, "spec", "minReplicaCount", default=1)),
        max_replicas=int(spec.get("maxReplicas") or dig(scaled, "spec", "maxReplicaCount", default=0)),
        current=int(status.get("currentReplicas") or 0),
        desired=int(status.get("desiredReplicas") or 0),
        signals=tuple(_signals(spec.get("metrics") or (), status.get("currentMetrics") or ())),
        conditions=tuple(conditions),
        remarks=tuple(_remarks(hpa, scaled)),
        decisions=tuple(_decisions(events, sources)),
    )


def _target(scaler: PlainObject) -> str:
    reference = dig(scaler, "spec", "scaleTargetRef", default={})
    return str(reference.get("name", "")) if reference.get("kind") in (None, "Deployment") else ""


def _signals(metrics: Sequence[Mapping[str, Any]], current: Sequence[Mapping[str, Any]]) -> Iterator[Signal]:
    """Current values are found by type and name: the controller leaves out those that it could not get."""
    for metric in metrics:
        source = _source(metric)
        kind = str(dig(source, "target", "type", default=""))
        now = next((_source(each) for each in current if _name(each) == _name(metric)), {})
        key = {"AverageValue": "averageValue", "Value": "value", "Utilization": "averageUtilization"}.get(kind, "")
        value = dig(now, "current", key)
        yield Signal(
            name=_name(metric)[1],
            current=UNKNOWN if value is None else _plain(value),
            target=_plain(dig(source, "target", key, default="")),
            kind=kind,
        )


def _source(metric: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part that is named as the type: Pods -> pods, ContainerResource -> containerResource."""
    kind = str(metric.get("type", ""))
    return metric.get(kind[:1].lower() + kind[1:]) or {}


def _name(metric: Mapping[str, Any]) -> tuple[str, str]:
    source = _source(metric)
    return str(metric.get("type", "")), str(dig(source, "metric", "name") or source.get("name", ""))


def _plain(quantity: Any) -> str:
    """7500m is 7.5."""
    try:
        return format_milli(milli_value(quantity))
    except ValueError:
        return str(quantity)


def _hpa_troubles(hpa: PlainObject | None) -> list[Condition]:
    if hpa is None:
        message = "KEDA makes the HPA; is its operator running?"
        return [Condition(source="ScaledObject", type="HPA", status="False", reason="NoHPA", message=message)]
    return [each for each in _troubles(hpa, "HPA") if each.reason != "ScalingDisabled"]


def _troubles(body: PlainObject, source: str) -> Iterator[Condition]:
    """Ready, AbleToScale and ScalingActive should be true; KEDA's Fallback should not."""
    for condition in dig(body, "status", "conditions", default=()):
        kind, status = str(condition.get("type", "")), str(condition.get("status", ""))
        is_bad = (kind in ("Ready", "AbleToScale", "ScalingActive") and status == "False") or (
            kind == "Fallback" and status == "True"
        )
        if is_bad:
            reason, message = str(condition.get("reason", "")), str(condition.get("message", ""))
            yield Condition(source=source, type=kind, status=status, reason=reason, message=message)


def _remarks(hpa: PlainObject | None, scaled: PlainObject | None) -> Iterator[str]:
    for condition in dig(hpa, "status", "conditions", default=()):
        if condition.get("type") == "ScalingLimited" and condition.get("status") == "True":
            yield f"limited: {condition.get('message', '')}"
        if condition.get("reason") == "ScalingDisabled":
            yield "scaling is disabled: the Deployment has no replicas"
    for condition in dig(scaled, "status", "conditions", default=()):
        if condition.get("type") == "Paused" and condition.get("status") == "True":
            yield f"paused: {condition.get('message', '')}"


def _decisions(events: Sequence[PlainObject], sources: set[tuple[str, str]], *, last: int = 5) -> Iterator[str]:
    found = [
        event
        for event in events
        if (dig(event, "involvedObject", "kind"), dig(event, "involvedObject", "name")) in sources
    ]
    for event in list(reversed(found))[:last]:
        when = str(event.get("lastTimestamp") or event.get("eventTime") or "")
        yield f"{when} {event.get('reason', '')}: {event.get('message', '')}".strip()
