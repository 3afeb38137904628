"""What has to be installed in a cluster, or upgraded, before it knows a kind."""

from collections.abc import Sequence
from dataclasses import dataclass

from flyball.cluster.objects import ObjectKey

# group: (the product, how it is installed; each product's own installation page names this chart)
_PRODUCTS = {
    "keda.sh": (
        "KEDA",
        "helm upgrade --install keda keda --repo https://kedacore.github.io/charts -n keda --create-namespace",
    ),
    "monitoring.coreos.com": (
        "the Prometheus Operator",
        "helm upgrade --install monitoring kube-prometheus-stack "
        "--repo https://prometheus-community.github.io/helm-charts -n monitoring --create-namespace",
    ),
    "karpenter.sh": ("Karpenter", "helm upgrade --install karpenter oci://public.ecr.aws/karpenter/karpenter"),
    "karpenter.k8s.aws": ("Karpenter", "helm upgrade --install karpenter oci://public.ecr.aws/karpenter/karpenter"),
    "nvidia.com": (
        "the NVIDIA GPU Operator",
        "helm upgrade --install gpu-operator gpu-operator --repo https://helm.ngc.nvidia.com/nvidia -n gpu-operator "
        "--create-namespace",
    ),
}
# The first Kubernetes that serves what is rendered of its own kinds (its deprecated-API migration guide).
_SINCE = {"policy/v1": "1.21", "batch/v1": "1.21", "autoscaling/v2": "1.23"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingKind:
    """A kind that objects need and the API server does not serve in their version."""

    api_version: str
    kind: str
    objects: tuple[ObjectKey, ...]
    served: tuple[str, ...] = ()
    """The versions in which the API server does serve it: another release of the product is installed."""

    @property
    def what(self) -> str:
        names = ", ".join(key.name for key in self.objects)
        where = f": it has {', '.join(self.served)}" if self.served else ""
        return f"the cluster does not know {self.kind} of {self.api_version} ({names}){where}"

    @property
    def fix(self) -> str:
        group = self.api_version.rpartition("/")[0]
        if "." not in group or group.endswith(".k8s.io"):
            since = (
                f": {self.api_version} is served from {_SINCE[self.api_version]} on"
                if self.api_version in _SINCE
                else ""
            )
            return f"upgrade Kubernetes{since}"
        product, command = _PRODUCTS.get(group, ("", ""))
        if self.served:
            return f"install a release of {product or 'its operator'} that serves {self.api_version}"
        return f"install {product}: {command}" if product else "install the operator that defines it"


def missing_kinds(unserved: Sequence[tuple[ObjectKey, tuple[str, ...]]]) -> tuple[MissingKind, ...]:
    """Grouped by kind, from (object, versions that are served instead)."""
    groups: dict[tuple[str, str], list[ObjectKey]] = {}
    served: dict[tuple[str, str], tuple[str, ...]] = {}
    for key, versions in unserved:
        groups.setdefault((key.api_version, key.kind), []).append(key)
        served[key.api_version, key.kind] = versions
    return tuple(
        MissingKind(api_version=version, kind=kind, objects=tuple(sorted(keys)), served=served[version, kind])
        for (version, kind), keys in sorted(groups.items())
    )
