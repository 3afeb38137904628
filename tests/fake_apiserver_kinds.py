"""The kinds that the API server of the tests serves, and the defaults that it fills in."""

import base64
import copy
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]
VERBS = ("create", "delete", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of one group. All its `versions` (preferred first) show the same objects, as after a conversion."""

    group: str
    versions: tuple[str, ...]
    kind: str
    plural: str
    is_namespaced: bool = True
    verbs: tuple[str, ...] = VERBS

    @property
    def api_versions(self) -> tuple[str, ...]:
        return tuple(f"{self.group}/{version}" if self.group else version for version in self.versions)


def _kind(api_version: str, kind: str, plural: str, *, is_namespaced: bool = True) -> Kind:
    group, _, version = api_version.rpartition("/")
    return Kind(group=group, versions=(version,), kind=kind, plural=plural, is_namespaced=is_namespaced)


REVIEW = Kind(
    group="authorization.k8s.io",
    versions=("v1",),
    kind="SelfSubjectAccessReview",
    plural="selfsubjectaccessreviews",
    is_namespaced=False,
    verbs=("create",),
)
CORE = (
    _kind("v1", "Namespace", "namespaces", is_namespaced=False),
    _kind("v1", "Node", "nodes", is_namespaced=False),
    _kind("v1", "Pod", "pods"),
    _kind("v1", "Service", "services"),
    _kind("v1", "ServiceAccount", "serviceaccounts"),
    _kind("v1", "ConfigMap", "configmaps"),
    _kind("v1", "Secret", "secrets"),
    _kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    _kind("v1", "Event", "events"),
    _kind("v1", "ResourceQuota", "resourcequotas"),
    _kind("v1", "LimitRange", "limitranges"),
    _kind("apps/v1", "Deployment", "deployments"),
    _kind("apps/v1", "ReplicaSet", "replicasets"),
    _kind("apps/v1", "StatefulSet", "statefulsets"),
    _kind("apps/v1", "DaemonSet", "daemonsets"),
    _kind("batch/v1", "Job", "jobs"),
    _kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    _kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    _kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    _kind("rbac.authorization.k8s.io/v1", "Role", "roles"),
    _kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"),
    _kind("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", is_namespaced=False),
    _kind("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", is_namespaced=False),
    _kind("storage.k8s.io/v1", "StorageClass", "storageclasses", is_namespaced=False),
    _kind("node.k8s.io/v1", "RuntimeClass", "runtimeclasses", is_namespaced=False),
    _kind("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", is_namespaced=False),
    _kind("apiregistration.k8s.io/v1", "APIService", "apiservices", is_namespaced=False),
    _kind("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", is_namespaced=False),
    REVIEW,
)
KEDA = (
    _kind("keda.sh/v1alpha1", "ScaledObject", "scaledobjects"),
    _kind("keda.sh/v1alpha1", "TriggerAuthentication", "triggerauthentications"),
)
PROMETHEUS_OPERATOR = (
    _kind("monitoring.coreos.com/v1", "PodMonitor", "podmonitors"),
    _kind("monitoring.coreos.com/v1", "ServiceMonitor", "servicemonitors"),
    _kind("monitoring.coreos.com/v1", "PrometheusRule", "prometheusrules"),
)
KARPENTER = (
    _kind("karpenter.sh/v1", "NodePool", "nodepools", is_namespaced=False),
    _kind("karpenter.sh/v1", "NodeClaim", "nodeclaims", is_namespaced=False),
    _kind("karpenter.k8s.aws/v1", "EC2NodeClass", "ec2nodeclasses", is_namespaced=False),
)


def with_defaults(body: Object) -> Object:
    """The object as admission leaves it: some of the defaults that a real API server fills in, owned by nobody."""
    body = copy.deepcopy(body)
    spec: Object = body.get("spec", {})
    match body["kind"]:
        case "Deployment":
            _fill(spec, {"replicas": 1, "progressDeadlineSeconds": 600, "revisionHistoryLimit": 10})
            _fill_pod(spec.get("template", {}).get("spec", {}))
        case "Job":
            _fill(spec, {"backoffLimit": 6, "completions": 1, "parallelism": 1})
            _fill_pod(spec.get("template", {}).get("spec", {}))
        case "Pod":
            _fill_pod(spec)
        case "Service":
            _fill(spec, {"type": "ClusterIP", "sessionAffinity": "None", "clusterIP": "10.96.0.10"})
            for port in spec.get("ports", []):
                _fill(port, {"protocol": "TCP", "targetPort": port["port"]})
        case "Namespace":
            labels = body["metadata"].setdefault("labels", {})
            _fill(labels, {"kubernetes.io/metadata.name": body["metadata"]["name"]})
        case "Secret" if "stringData" in body:  # whoever applied it goes on owning stringData, which is gone
            texts = body.pop("stringData")
            encoded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
            body["data"] = {**body.get("data", {}), **encoded}
        case "PersistentVolumeClaim":
            _fill(spec, {"volumeMode": "Filesystem"})
    return body


def _fill(target: Object, defaults: Object) -> None:
    for key, value in defaults.items():
        target.setdefault(key, value)


def _fill_pod(spec: Object) -> None:
    _fill(spec, {"dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler"})
    for container in [*spec.get("containers", []), *spec.get("initContainers", [])]:
        _fill(container, {"terminationMessagePath": "/dev/termination-log", "imagePullPolicy": "IfNotPresent"})
        for port in container.get("ports", []):
            _fill(port, {"protocol": "TCP"})
