"""What an installation of ours has in a cluster, found by its labels and its field manager, whatever was rendered."""

from collections.abc import Collection
from dataclasses import dataclass

from flyball.cluster.api_server import FIELD_MANAGER, ApiServer
from flyball.cluster.objects import ObjectKey, PlainObject, key_of
from flyball.cluster.ownership import managers_of, owned_fields
from flyball.cluster.refusals import ForbiddenError

MANAGED_BY = "app.kubernetes.io/managed-by"
PART_OF = "app.kubernetes.io/part-of"
# Every kind that any version of flyball has rendered, by group.
_RENDERED = {
    "": ("Namespace", "ServiceAccount", "Secret", "ConfigMap", "PersistentVolumeClaim", "Service"),
    "apps": ("Deployment", "DaemonSet"),
    "batch": ("Job",),
    "policy": ("PodDisruptionBudget",),
    "networking.k8s.io": ("NetworkPolicy",),
    "rbac.authorization.k8s.io": ("Role", "RoleBinding"),
    "autoscaling": ("HorizontalPodAutoscaler",),
    "keda.sh": ("ScaledObject", "TriggerAuthentication"),
    "monitoring.coreos.com": ("PodMonitor", "ServiceMonitor", "PrometheusRule"),
    "karpenter.sh": ("NodePool",),
    "karpenter.k8s.aws": ("EC2NodeClass",),
}
# Never pruned: the weights, and the namespace with everything in it.
KEPT = frozenset({"PersistentVolumeClaim", "Namespace"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """One service in one namespace."""

    name: str
    namespace: str

    @property
    def selector(self) -> str:
        return f"{PART_OF}={self.name},{MANAGED_BY}={FIELD_MANAGER}"

    def may_have(self, body: PlainObject) -> bool:
        """Whether a labelled object is of this namespace's service: of one without a namespace, its name tells."""
        key, prefix = key_of(body), f"{self.namespace}-{self.name}"
        return key.namespace == self.namespace or key.name == prefix or key.name.startswith(f"{prefix}-")


def is_ours(body: PlainObject) -> bool:
    """Whether flyball applied the object; the labels alone would be copied with it."""
    return bool(owned_fields(body, FIELD_MANAGER))


def is_only_ours(body: PlainObject) -> bool:
    """Whether nobody else ever set anything in it but its status: then flyball created it."""
    return is_ours(body) and managers_of(body) == (FIELD_MANAGER,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What was found, and the resources that could not be looked for."""

    objects: tuple[PlainObject, ...]
    unseen: tuple[str, ...] = ()
    """As RBAC names them; the permission to list them is missing."""


def installed_objects(api: ApiServer, installation: Installation) -> Installed:
    """The objects of the installation, in its namespace and of the whole cluster."""
    found: list[PlainObject] = []
    unseen: list[str] = []
    for group, kinds in _RENDERED.items():
        for served in filter(None, (api.discovery.in_any_version(group, kind) for kind in kinds)):
            namespace = installation.namespace if served.is_namespaced else ""
            try:
                listed = api.list(served.api_version, served.kind, namespace=namespace, labels=installation.selector)
            except ForbiddenError:
                unseen.append(served.resource)
                continue
            found += [body for body in listed if is_ours(body) and installation.may_have(body)]
    return Installed(objects=tuple(found), unseen=tuple(unseen))


def obsolete_objects(installed: Installed, wanted: Collection[ObjectKey]) -> tuple[ObjectKey, ...]:
    """What an earlier version of the spec created and the present one does not render."""
    names = {(key.group, key.kind, key.namespace, key.name) for key in wanted}
    keys = (key_of(body) for body in installed.objects)
    return tuple(
        key for key in keys if key.kind not in KEPT and (key.group, key.kind, key.namespace, key.name) not in names
    )
