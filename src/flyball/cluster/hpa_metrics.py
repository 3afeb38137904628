"""The metrics of an HPA: what it holds each to, and what it last read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flyball.cluster.objects import PlainObject, dig
from flyball.scaling.quantity import format_milli, milli_value

UNKNOWN = "unknown"
_VALUE_OF = {"AverageValue": "averageValue", "Value": "value", "Utilization": "averageUtilization"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One metric of an HPA. `current` is UNKNOWN where the HPA got no value."""

    name: str
    current: str
    target: str
    kind: str
    """AverageValue (a replica), Value, Utilization."""


def signals(hpa: PlainObject | None) -> tuple[Signal, ...]:
    """Current values are found by type and name: the controller leaves out those that it could not get."""
    current: Sequence[Mapping[str, Any]] = dig(hpa, "status", "currentMetrics", default=())
    return tuple(_signal(metric, current) for metric in dig(hpa, "spec", "metrics", default=()))


def metric_source(metric: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part that is named as the type: Pods -> pods, ContainerResource -> containerResource."""
    kind = str(metric.get("type", ""))
    return metric.get(kind[:1].lower() + kind[1:]) or {}


def metric_name(metric: Mapping[str, Any]) -> str:
    """Of an entry of an HPA's `metrics` or `currentMetrics`."""
    source = metric_source(metric)
    return str(dig(source, "metric", "name") or source.get("name") or "")


def _signal(metric: Mapping[str, Any], current: Sequence[Mapping[str, Any]]) -> Signal:
    kind = str(dig(metric_source(metric), "target", "type", default=""))
    now = next((metric_source(each) for each in current if _identity(each) == _identity(metric)), {})
    key = _VALUE_OF.get(kind, "")
    value = dig(now, "current", key)
    return Signal(
        name=metric_name(metric),
        current=UNKNOWN if value in (None, "") else _plain(value),
        target=_plain(dig(metric_source(metric), "target", key, default="")),
        kind=kind,
    )


def _identity(metric: Mapping[str, Any]) -> tuple[str, str]:
    return str(metric.get("type", "")), metric_name(metric)


def _plain(quantity: Any) -> str:
    """7500m is 7.5."""
    try:
        return format_milli(milli_value(quantity))
    except ValueError:
        return str(quantity)
