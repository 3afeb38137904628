"""What the doctor reads from the API server: the kinds, where they live, and what it takes to read them."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One kind of object, as it is listed."""

    kind: str
    plural: str
    group: str = ""
    version: str = "v1"
    scope: Literal["namespace", "all namespaces", "cluster"] = "namespace"
    """Where it is listed; `namespace` is the service's own."""

    @property
    def name(self) -> str:
        """As `kubectl auth can-i list NAME` takes it: `pods`, `scaledobjects.keda.sh`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def label(self) -> str:
        return f"{self.name} of all namespaces" if self.scope == "all namespaces" else self.name

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


NODES = Resource(kind="Node", plural="nodes", scope="cluster")
ALL_PODS = Resource(kind="Pod", plural="pods", scope="all namespaces")
PODS = Resource(kind="Pod", plural="pods")
EVENTS = Resource(kind="Event", plural="events")
CLAIMS = Resource(kind="PersistentVolumeClaim", plural="persistentvolumeclaims")
QUOTAS = Resource(kind="ResourceQuota", plural="resourcequotas")
LIMIT_RANGES = Resource(kind="LimitRange", plural="limitranges")
DEPLOYMENTS = Resource(kind="Deployment", plural="deployments", group="apps")
DAEMON_SETS = Resource(kind="DaemonSet", plural="daemonsets", group="apps", scope="all namespaces")
JOBS = Resource(kind="Job", plural="jobs", group="batch")
AUTOSCALERS = Resource(
    kind="HorizontalPodAutoscaler", plural="horizontalpodautoscalers", group="autoscaling", version="v2"
)
BUDGETS = Resource(kind="PodDisruptionBudget", plural="poddisruptionbudgets", group="policy")
STORAGE_CLASSES = Resource(kind="StorageClass", plural="storageclasses", group="storage.k8s.io", scope="cluster")
RUNTIME_CLASSES = Resource(kind="RuntimeClass", plural="runtimeclasses", group="node.k8s.io", scope="cluster")
API_SERVICES = Resource(kind="APIService", plural="apiservices", group="apiregistration.k8s.io", scope="cluster")
SCALED_OBJECTS = Resource(kind="ScaledObject", plural="scaledobjects", group="keda.sh", version="v1alpha1")
POD_MONITORS = Resource(kind="PodMonitor", plural="podmonitors", group="monitoring.coreos.com")
PROMETHEUSES = Resource(kind="Prometheus", plural="prometheuses", group="monitoring.coreos.com", scope="all namespaces")
NODE_POOLS = Resource(kind="NodePool", plural="nodepools", group="karpenter.sh", scope="cluster")

RESOURCES = (
    NODES, ALL_PODS, PODS, EVENTS, CLAIMS, QUOTAS, LIMIT_RANGES, DEPLOYMENTS, DAEMON_SETS, JOBS, AUTOSCALERS, BUDGETS,
    STORAGE_CLASSES, RUNTIME_CLASSES, API_SERVICES, SCALED_OBJECTS, POD_MONITORS, PROMETHEUSES, NODE_POOLS,
)  # fmt: skip
"""In the order in which they are asked for."""
