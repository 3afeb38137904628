"""Where replicas may run: nodes, taints, spread."""

from typing import Any

from flyball.manifests.design import CAPACITY_LABEL, Capacity, ServiceDesign
from flyball.manifests.manifest import Because

DRIVER_LABELS = ("nvidia.com/cuda.driver-version.major", "nvidia.com/cuda.driver.major")
"""GPU feature discovery's, and the one it had before 0.15; releases between write both."""
LEAST_DRIVER = 580
"""The vLLM image has CUDA 13.0, which needs driver R580 or newer."""
PRODUCT_LABEL = "nvidia.com/gpu.product"
"""GPU feature discovery's; outside clouds a node has nothing else that tells its GPU."""
EKS_LABEL = "k8s.amazonaws.com/accelerator"
AZURE_SPOT_TAINT = "kubernetes.azure.com/scalesetpriority"


def placement(design: ServiceDesign, capacity: Capacity, *, selector: dict[str, Any]) -> dict[str, Any]:
    """The parts of a pod's spec that choose its node; `selector` finds the pods to spread from."""
    spread = {
        "maxSkew": 1,
        "whenUnsatisfiable": Because("ScheduleAnyway", "a GPU that is free in the wrong zone is better than none"),
        "labelSelector": {"matchLabels": selector},
    }
    return {
        "affinity": {"nodeAffinity": node_affinity(design, capacity)},
        "tolerations": tolerations(design, capacity),
        "topologySpreadConstraints": [
            {"topologyKey": "topology.kubernetes.io/zone", **spread},
            {"topologyKey": "kubernetes.io/hostname", **spread},
        ],
    }


def node_affinity(design: ServiceDesign, capacity: Capacity) -> dict[str, Any]:
    """The GPU, a driver that the image can use, and the kind of machine."""
    wanted = [*gpu_requirements(design), *_capacity_requirements(design, capacity)]
    terms = Because(
        [
            {"matchExpressions": [*wanted, *({"key": label, "operator": "DoesNotExist"} for label in DRIVER_LABELS)]},
            *(
                {"matchExpressions": [*wanted, {"key": label, "operator": "Gt", "values": [str(LEAST_DRIVER - 1)]}]}
                for label in DRIVER_LABELS
            ),
        ],
        f"The image's CUDA 13 needs driver {LEAST_DRIVER} or newer. A node that does not tell its driver yet may be"
        " new: an autoscaler adds none for a label that nodes get only later.",
    )
    affinity: dict[str, Any] = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    if capacity == "spot" and design.kubernetes.spot_fallback:
        affinity["preferredDuringSchedulingIgnoredDuringExecution"] = Because(
            [{"weight": 100, "preference": {"matchExpressions": [spot_requirement(design)]}}],
            "spot where there is some, on demand while there is none (kubernetes.spot_fallback)",
        )
    return affinity


def gpu_requirements(design: ServiceDesign) -> list[dict[str, Any]]:
    """By the label that the machines have before their first pod, so that an autoscaler can tell what to add."""
    machine, cloud_label = design.machine, design.machine.cloud.gpu_label
    if design.kubernetes.node_labels:
        return [_in(key, value) for key, value in design.kubernetes.node_labels.items()]
    if design.node_pools == "eks":
        return [_in(EKS_LABEL, eks_accelerator(design))]
    if design.node_pools in ("karpenter", "gke") and cloud_label and cloud_label in machine.node_labels:
        return [_in(cloud_label, machine.node_labels[cloud_label])]
    own = {key: value for key, value in machine.node_labels.items() if key != cloud_label}
    return [_in(*label) for label in (own or {PRODUCT_LABEL: design.accelerator.device_name.replace(" ", "-")}).items()]


def eks_accelerator(design: ServiceDesign) -> str:
    """The value of the label that the rendered node groups carry."""
    return f"nvidia-{design.accelerator.name.lower()}"


def spot_requirement(design: ServiceDesign) -> dict[str, Any]:
    """What marks a spot node."""
    if design.node_pools == "eks":
        return _in("eks.amazonaws.com/capacityType", "SPOT")
    key, value = next(iter(design.machine.cloud.spot_labels.items()))
    return _in(key, value)


def _capacity_requirements(design: ServiceDesign, capacity: Capacity) -> list[dict[str, Any]]:
    if not design.machine.cloud.spot_labels:
        return []
    spot = spot_requirement(design)
    if capacity == "spot":
        return [] if design.kubernetes.spot_fallback else [spot]
    return [{**spot, "operator": "NotIn"}]


def tolerations(design: ServiceDesign, capacity: Capacity) -> list[Any]:
    """The GPU taint always: a node without it is none the worse."""
    key = design.kubernetes.taint_key
    keys = dict.fromkeys(("nvidia.com/gpu", key))
    found: list[Any] = [{"key": each, "operator": "Exists", "effect": "NoSchedule"} for each in keys]
    found[0] = Because(found[0], "the taint of GPU nodes; only GKE adds its toleration by itself")
    for extra in design.kubernetes.tolerations:
        match = {"operator": "Exists"} if extra.value is None else {"operator": "Equal", "value": extra.value}
        found.append({"key": extra.key, **match, "effect": extra.effect})
    if capacity == "spot" and design.machine.cloud.name == "azure":
        found.append({"key": AZURE_SPOT_TAINT, "operator": "Equal", "value": "spot", "effect": "NoSchedule"})
    if capacity == "spot" and design.machine.cloud.name == "gcp":
        found.append({"key": "cloud.google.com/gke-spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"})
    return found


def capacity_labels(design: ServiceDesign, capacity: Capacity) -> dict[str, str]:
    """What tells the pods of the two Deployments apart; nothing where there is one."""
    return {CAPACITY_LABEL: capacity} if design.floor_replicas else {}


def _in(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "operator": "In", "values": [value]}
