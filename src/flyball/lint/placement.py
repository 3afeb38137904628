"""Where pods may run: the node labels they ask for, the taints they tolerate, and what both say about the machine."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from flyball.catalog import Accelerator, Catalog, Cloud, InstanceType, load_catalog
from flyball.errors import UsageError
from flyball.lint.node import Node
from flyball.lint.pods import PodTemplate

PRODUCT_LABEL = "nvidia.com/gpu.product"
INSTANCE_TYPE_LABEL = "node.kubernetes.io/instance-type"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRequirement:
    """A node label that the pod requires, with the values it accepts."""

    key: str
    values: tuple[str, ...]
    node: Node


def node_requirements(pod: PodTemplate) -> Iterator[NodeRequirement]:
    """From `nodeSelector` and the required node affinity."""
    for key, value in pod.spec.at("nodeSelector").entries():
        yield NodeRequirement(key=key, values=(value.text,), node=value)
    required = pod.spec.at("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    for term in required.at("nodeSelectorTerms").items():
        for expression in term.at("matchExpressions").items():
            if expression.at("operator").text == "In":
                values = tuple(value.text for value in expression.at("values").items())
                yield NodeRequirement(key=expression.at("key").text, values=values, node=expression)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """How long a cloud warns before it takes a spot machine."""

    seconds: float
    cloud: str
    node: Node


_MORE_SPOT_LABELS = (
    ("eks.amazonaws.com/capacityType", "spot", "aws"),
    ("cloud.google.com/gke-preemptible", "true", "gcp"),
)
"""What marks reclaimable nodes beside the labels of the catalogue's clouds."""


@cache
def catalog() -> Catalog:
    return load_catalog()


def _spot_marks() -> Iterator[tuple[str, str, Cloud]]:
    """(label and taint key, value, cloud)."""
    for cloud in catalog().clouds:
        for key, value in cloud.spot_labels.items():
            yield key, value, cloud
    for key, value, name in _MORE_SPOT_LABELS:
        yield key, value, catalog().cloud(name)


def spot_notice(pod: PodTemplate) -> Notice | None:
    """The notice of the spot machines that a pod requires or tolerates; None if it names none."""
    asked = [(each.key, each.values, each.node) for each in node_requirements(pod)]
    for toleration in pod.spec.at("tolerations").items():
        asked.append((toleration.at("key").text, (toleration.at("value").text or "*",), toleration))
    for key, value, cloud in _spot_marks():
        for wanted, values, node in asked:
            if wanted == key and cloud.pod_notice_s and any(each.lower() in (value, "*") for each in values):
                return Notice(seconds=cloud.pod_notice_s, cloud=cloud.name, node=node)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """The GPUs that a pod's node selectors leave, with the largest machine that has them, if machines are named."""

    accelerator: Accelerator
    machine: InstanceType | None
    node: Node | None
    """What says so; None if the settings do."""


def hardware_of(pod: PodTemplate, otherwise: str | None) -> Hardware | None:
    """The accelerator with the least memory among those that the pod may land on; None if nothing says which.

    `otherwise` names it where no selector does. UsageError if the catalogue does not have that one.
    """
    found: list[Hardware] = []
    for requirement in node_requirements(pod):
        found += _asked_for(requirement)
    if found:
        return min(found, key=lambda each: each.accelerator.memory_bytes)
    if otherwise is None:
        return None
    return Hardware(accelerator=catalog().accelerator(otherwise), machine=None, node=None)


def _asked_for(requirement: NodeRequirement) -> list[Hardware]:
    chips = {accelerator.name: accelerator for accelerator in catalog().accelerators}
    if requirement.key == PRODUCT_LABEL:
        products = [chip for value in requirement.values if (chip := _product(value)) is not None]
        return [Hardware(accelerator=chip, machine=None, node=requirement.node) for chip in products]
    machines = [
        machine
        for machine in catalog().instance_types
        if machine.node_labels.get(requirement.key) in requirement.values
    ]
    names_machine = requirement.key == INSTANCE_TYPE_LABEL
    return [
        Hardware(
            accelerator=chips[machine.accelerator], machine=machine if names_machine else None, node=requirement.node
        )
        for machine in sorted(machines, key=lambda machine: -machine.accelerator_count)
    ]


def _product(value: str) -> Accelerator | None:
    """By the label that NVIDIA's feature discovery sets: `NVIDIA-A10G`, `Tesla-T4`, `NVIDIA-L4-SHARED`."""
    try:
        return catalog().accelerator(value.removesuffix("-SHARED"))
    except UsageError:
        return None
