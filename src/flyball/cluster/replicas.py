"""The replica count belongs to the autoscaler: what an apply must do so that it stays so.

Two traps of server-side apply. Naming `replicas` where an HPA scales resets the fleet at every apply. And leaving it
out after having named it removes the field, which Kubernetes fills with 1: a fleet of eight becomes one.
"""

import copy
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from flyball.cluster.api_server import FIELD_MANAGER
from flyball.cluster.objects import ObjectKey, PlainObject, dig, key_of
from flyball.cluster.ownership import Field, owned_fields, owners_of
from flyball.cluster.refusals import Conflict
from flyball.cluster.scalers import Target, scale_target

HANDOVER = "flyball-replicas"
"""The field manager that holds the count between our giving it up and the autoscaler's first write."""
_REPLICAS = Field(("spec", "replicas"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaAdvice:
    """The object to send, and what to do before."""

    body: PlainObject
    handover: PlainObject | None = None
    """To be applied first by the manager HANDOVER, so that giving up the count does not reset it."""
    note: str = ""
    takes_count: bool = False
    """Whether the count is ours from now on, whoever wrote it last: what scaled it goes."""

    def takes(self, conflict: Conflict) -> bool:
        return self.takes_count and conflict.field == str(_REPLICAS)


def scale_targets(scalers: Iterable[PlainObject]) -> frozenset[Target]:
    """What HPAs and ScaledObjects scale."""
    return frozenset(map(scale_target, scalers))


def respect_autoscaler(
    body: PlainObject, live: PlainObject | None, targets: frozenset[Target], freed: Collection[Target] = ()
) -> ReplicaAdvice:
    """How `body` is to be applied over `live`, where `targets` are scaled and `freed` are no more."""
    key = key_of(body)
    wants = dig(body, "spec", "replicas") is not None
    if live is None or (key.kind, key.namespace, key.name) not in targets:
        return ReplicaAdvice(body=body, takes_count=(key.kind, key.namespace, key.name) in freed)
    if wants:
        count = dig(live, "spec", "replicas")
        note = f".spec.replicas stays at {count}: an autoscaler owns it"
        return ReplicaAdvice(body=_without_replicas(body), handover=_handover(key, live), note=note)
    return ReplicaAdvice(body=body, handover=_handover(key, live))


def _handover(key: ObjectKey, live: PlainObject) -> PlainObject | None:
    """Needed only where nobody but us owns the count."""
    owners = {str(entry.get("manager")) for entry in owners_of(live, _REPLICAS)}
    if _REPLICAS not in owned_fields(live, FIELD_MANAGER) or owners - {FIELD_MANAGER}:
        return None
    return {
        "apiVersion": key.api_version,
        "kind": key.kind,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "spec": {"replicas": dig(live, "spec", "replicas")},
    }


def _without_replicas(body: PlainObject) -> PlainObject:
    smaller: dict[str, Any] = copy.deepcopy(dict(body))
    del smaller["spec"]["replicas"]
    return smaller
