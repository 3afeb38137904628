"""Karpenter's NodePools, one a kind of machine, and the EC2NodeClass that both use."""

import math
from typing import Any

from flyball.errors import UsageError
from flyball.manifests.design import Capacity, ServiceDesign
from flyball.manifests.drain import drain
from flyball.manifests.manifest import Because, Manifest
from flyball.manifests.placement import gpu_requirements
from flyball.manifests.rollout import spare_replicas
from flyball.manifests.start_up import start_up
from flyball.units import GIB

MAX_LABEL = 63
"""Characters of a label's value (Kubernetes: "Labels and Selectors")."""
DISK_GIB = 150
"""The vLLM image is 12 GB to pull and 25 GB unpacked; the usual 20 to 50 GB fill up."""


def capacities(design: ServiceDesign) -> tuple[Capacity, ...]:
    """The kinds of machine that replicas may run on."""
    if design.scaled_capacity == "on-demand":
        return ("on-demand",)
    needs_on_demand = design.floor_replicas or design.kubernetes.spot_fallback
    return ("on-demand", "spot") if needs_on_demand else ("spot",)


def most_replicas(design: ServiceDesign, capacity: Capacity) -> int:
    """That may run on that kind of machine, one more during a rollout."""
    scaled_here = capacity == design.scaled_capacity or design.kubernetes.spot_fallback
    deployments = (design.scaled_max if scaled_here else 0) + (design.floor_replicas if capacity == "on-demand" else 0)
    return deployments + min(1, spare_replicas(design))


def machines(design: ServiceDesign, replicas: int) -> int:
    return math.ceil(replicas / (design.machine.accelerator_count // design.gpus_per_replica))


def karpenter_objects(design: ServiceDesign) -> list[Manifest]:
    return [_node_class(design), *(_node_pool(design, capacity) for capacity in capacities(design))]


def _node_pool(design: ServiceDesign, capacity: Capacity) -> Manifest:
    times, leave = start_up(design), drain(design, capacity)
    gpus = machines(design, most_replicas(design, capacity)) * design.machine.accelerator_count
    idle_m = math.ceil(1.5 * times.cold_s / 60)
    forced_m = math.ceil((2 * leave.grace_s + times.cold_s) / 60)
    requirements = [
        {"key": "karpenter.sh/capacity-type", "operator": "In", "values": [capacity]},
        *gpu_requirements(design),
        {
            "key": "karpenter.k8s.aws/instance-gpu-count",
            "operator": "In",
            "values": [str(design.machine.accelerator_count)],
        },
        {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]},
    ]
    spec = {
        "template": {
            "spec": {
                "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": pool_name(design)},
                "requirements": Because(
                    requirements, "one GPU and number of them, in every size of machine: more places to find one"
                ),
                "taints": [_taint(design)],
                "expireAfter": "720h",
                "terminationGracePeriod": Because(
                    f"{forced_m}m",
                    "without it an expired node waits for ever for pods that must not be disrupted; longer than they"
                    " take to leave",
                ),
            },
        },
        "limits": {"nvidia.com/gpu": Because(gpus, "of the most replicas there, and of a rollout")},
        "disruption": {
            "consolidationPolicy": Because("WhenEmpty", "a model that is moved loads again"),
            "consolidateAfter": Because(f"{idle_m}m", "longer than a replica takes to come, image and model included"),
            "budgets": [{"nodes": "1"}],
        },
    }
    return Manifest(
        body={
            "apiVersion": "karpenter.sh/v1",
            "kind": "NodePool",
            "metadata": {"name": pool_name(design, capacity), "labels": _labels(design)},
            "spec": spec,
        },
        file="node-pools.yaml",
        comment="" if capacity == "on-demand" else _SPOT,
    )


_SPOT = "Reclaimed with two minutes' notice, which reaches the pods only if Karpenter has its interruption queue (SQS)."


def pool_name(design: ServiceDesign, capacity: Capacity | None = None) -> str:
    """Node pools belong to the whole cluster, so the namespace is in the name.

    UsageError for one that Karpenter could not write into its nodes' label `karpenter.sh/nodepool`.
    """
    name = "-".join(filter(None, (design.namespace, design.name, capacity)))
    if len(name) > MAX_LABEL:
        raise UsageError(
            f"the node pool {name} would have {len(name)} characters, and its label on nodes holds {MAX_LABEL}",
            fix="a shorter name, or a shorter kubernetes.namespace",
        )
    return name


def _taint(design: ServiceDesign) -> Any:
    taint = {"key": design.kubernetes.taint_key, "value": "present", "effect": "NoSchedule"}
    return Because(
        taint, "keeps other pods away; the GPU Operator's DaemonSets tolerate nvidia.com/gpu, and no other key"
    )


def _labels(design: ServiceDesign) -> dict[str, str]:
    return {"app.kubernetes.io/part-of": design.name, "app.kubernetes.io/managed-by": "flyball"}


def disk_gib(design: ServiceDesign) -> int:
    """Of a node: images, logs, and the weights where they are on the node."""
    on_node = not design.kubernetes.weights.in_claim
    return DISK_GIB + (math.ceil(2 * design.weights_bytes / GIB) if on_node else 0)


def _node_class(design: ServiceDesign) -> Manifest:
    cluster, ami = design.kubernetes.cluster, design.kubernetes.ami
    found = [{"tags": {"karpenter.sh/discovery": cluster}}]
    alias: Any = ami
    if ami.endswith("@latest"):
        alias = Because(ami, "every new image replaces all nodes: pin a version (kubernetes.ami) before production")
    disk = {
        "volumeSize": Because(f"{disk_gib(design)}Gi", "the vLLM image alone takes 25 GB unpacked"),
        "volumeType": "gp3",
        "iops": 6000,
        "throughput": Because(500, "MiB/s; the default of 125 makes the pull of 12 GB take minutes"),
        "encrypted": True,
        "deleteOnTermination": True,
    }
    return Manifest(
        body={
            "apiVersion": "karpenter.k8s.aws/v1",
            "kind": "EC2NodeClass",
            "metadata": {"name": pool_name(design), "labels": _labels(design)},
            "spec": {
                "amiSelectorTerms": [{"alias": alias}],
                "role": design.kubernetes.node_role or f"KarpenterNodeRole-{cluster}",
                "subnetSelectorTerms": found,
                "securityGroupSelectorTerms": found,
                "blockDeviceMappings": [
                    {"deviceName": "/dev/xvdb" if ami.startswith("bottlerocket") else "/dev/xvda", "ebs": disk}
                ],
                "metadataOptions": {
                    "httpEndpoint": "enabled",
                    "httpTokens": "required",
                    "httpPutResponseHopLimit": Because(1, "pods cannot take the node's credentials"),
                },
            },
        },
        file="node-pools.yaml",
    )
