"""In which order objects are applied: what others need comes first; deletion goes the other way round."""

from collections.abc import Iterable
from typing import TypeVar

from flyball.cluster.objects import ObjectKey, PlainObject, key_of

# A namespace before what is in it; rights and configuration before the pods that read them; nodes before pods; the
# weights' claim and Job before the engines that mount them; a Service before its pods; the scaler after its target,
# so that it never finds none; what only watches comes last.
_ORDER = (
    "Namespace",
    "CustomResourceDefinition",
    "PriorityClass",
    "StorageClass",
    "RuntimeClass",
    "ResourceQuota",
    "LimitRange",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "Secret",
    "ConfigMap",
    "NetworkPolicy",
    "EC2NodeClass",
    "NodePool",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Service",
    "Job",
    "DaemonSet",
    "StatefulSet",
    "Deployment",
    "PodDisruptionBudget",
    "APIService",
    "TriggerAuthentication",
    "HorizontalPodAutoscaler",
    "ScaledObject",
)
RANKS = {kind: rank for rank, kind in enumerate(_ORDER)}
_LAST = len(RANKS)  # PodMonitor, PrometheusRule and whatever else
WAITED_FOR_FIRST = frozenset({"Job"})
"""Kinds that must be done before a Deployment is applied: its pods would start, and cost, without their weights."""

Body = TypeVar("Body", bound=PlainObject)


def rank(kind: str) -> int:
    return RANKS.get(kind, _LAST)


def in_order(objects: Iterable[Body]) -> list[Body]:
    """As they are to be applied; those of equal rank by kind and name."""
    return sorted(objects, key=lambda body: _place(key_of(body)))


def keys_in_reverse(keys: Iterable[ObjectKey]) -> list[ObjectKey]:
    """As they are to be deleted."""
    return sorted(keys, key=_place, reverse=True)


def _place(key: ObjectKey) -> tuple[int, str, str, str]:
    return rank(key.kind), key.kind, key.namespace, key.name
