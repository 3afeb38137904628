"""Conditions in an object's status, and which of them say that scaling does not work."""

from collections.abc import Iterator, Mapping
from typing import Any

from flyball.cluster.objects import PlainObject, dig

_SHOULD_BE_TRUE = frozenset({"Ready", "AbleToScale", "ScalingActive"})
"""Of KEDA's ScaledObject and of the HPA. `ScalingActive` is False, too, where the target has no replicas."""
_SHOULD_NOT = frozenset({"Fallback"})
SCALED_TO_ZERO = "ScalingDisabled"
"""Why an HPA is not active whose target has no replicas (kubernetes, pkg/controller/podautoscaler/horizontal.go)."""


def conditions(body: PlainObject | None) -> tuple[Mapping[str, Any], ...]:
    """All of them, in order; none where the object, or its status, is not there."""
    found = dig(body, "status", "conditions", default=())
    return tuple(each for each in found if isinstance(each, Mapping)) if isinstance(found, list | tuple) else ()


def condition(body: PlainObject | None, kind: str) -> Mapping[str, Any]:
    """The condition of that type; empty if the object has none."""
    return next((each for each in conditions(body) if each.get("type") == kind), {})


def says(found: Mapping[str, Any]) -> str:
    """Reason and message of a condition or a container's state, in one line."""
    parts = (str(found.get("reason") or ""), " ".join(str(found.get("message") or "").split()))
    return ": ".join(part for part in parts if part)


def troubles(scaler: PlainObject | None) -> Iterator[Mapping[str, Any]]:
    """The conditions of a ScaledObject or an HPA that are not as they should be."""
    for each in conditions(scaler):
        kind, status = each.get("type"), each.get("status")
        if (kind in _SHOULD_BE_TRUE and status != "True") or (kind in _SHOULD_NOT and status == "True"):
            yield each
