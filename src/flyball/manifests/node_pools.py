"""GPU nodes where no Kubernetes object makes them: commands for GKE and EKS, and the GPU Operator's values."""

from collections.abc import Mapping
from typing import Any

from flyball.manifests.design import Capacity, ServiceDesign
from flyball.manifests.karpenter import capacities, disk_gib, machines, most_replicas
from flyball.manifests.manifest import Because, Manifest
from flyball.manifests.placement import EKS_LABEL, eks_accelerator
from flyball.manifests.yaml_text import to_yaml

_HEAD = """\
#!/usr/bin/env bash
# GPU nodes for {name} in the cluster {cluster}. Read it, then run it once; it creates what is paid for by the hour.
set -eu
: "${{REGION:?set REGION to the region of the cluster}}"
"""


def node_pool_script(design: ServiceDesign) -> str | None:
    """A shell script, None where nodes come from Karpenter or are there already."""
    makers = {"gke": _gke, "eks": _eks}
    maker = makers.get(design.node_pools)
    if maker is None:
        return None
    head = _HEAD.format(name=design.name, cluster=design.kubernetes.cluster or "CLUSTER")
    return head + "".join("\n" + maker(design, capacity) for capacity in capacities(design))


def _fewest_nodes(design: ServiceDesign, capacity: Capacity) -> int:
    """What is there even when nothing is asked for: the floor and the minimum."""
    if capacity == "spot":
        return 0
    steady = design.floor_replicas or (int(design.min_replicas.value) if design.scaled_capacity == capacity else 0)
    return machines(design, steady)


def _most_nodes(design: ServiceDesign, capacity: Capacity) -> int:
    return machines(design, most_replicas(design, capacity))


def _gke(design: ServiceDesign, capacity: Capacity) -> str:
    machine = design.machine
    accelerator = machine.node_labels.get("cloud.google.com/gke-accelerator", "nvidia-" + machine.accelerator.lower())
    taints = (
        [] if design.kubernetes.taint_key == "nvidia.com/gpu" else [f"{design.kubernetes.taint_key}=present:NoSchedule"]
    )
    flags = [
        f'--cluster {design.kubernetes.cluster or "CLUSTER"} --region "$REGION"',
        f"--machine-type {machine.name}",
        f"--accelerator type={accelerator},count={machine.accelerator_count},gpu-driver-version=latest",
        "--num-nodes 0 --enable-autoscaling --location-policy ANY",
        f"--total-min-nodes {_fewest_nodes(design, capacity)} --total-max-nodes {_most_nodes(design, capacity)}",
        f"--disk-type pd-ssd --disk-size {disk_gib(design)} --enable-image-streaming",
        *(["--spot"] if capacity == "spot" else []),
        *(f"--node-taints {taint}" for taint in taints),
    ]
    notice = design.machine.cloud.pod_notice_s
    said = (
        f"# Pods get {notice:g} s of the notice; GKE can extend it to 120 s on Standard pools (from 1.35).\n"
        if capacity == "spot" and notice
        else "# GKE taints the nodes with nvidia.com/gpu and labels them with their accelerator by itself.\n"
    )
    lines = " \\\n  ".join(flags)
    return f"{said}gcloud container node-pools create {design.name}-{capacity} \\\n  {lines}\n"


def _eks(design: ServiceDesign, capacity: Capacity) -> str:
    group = {
        "name": f"{design.name}-{capacity}",
        "amiFamily": "AmazonLinux2023",
        "instanceTypes": [design.machine.name],
        "spot": capacity == "spot",
        "minSize": _fewest_nodes(design, capacity),
        "desiredCapacity": _fewest_nodes(design, capacity),
        "maxSize": _most_nodes(design, capacity),
        "volumeSize": Because(disk_gib(design), "GB; the vLLM image alone takes 25 unpacked"),
        "volumeType": "gp3",
        "labels": {
            EKS_LABEL: Because(
                eks_accelerator(design),
                "the cluster autoscaler waits for the GPU of a node with this label, and adds no second",
            )
        },
        "taints": [{"key": design.kubernetes.taint_key, "value": "present", "effect": "NoSchedule"}],
        "propagateASGTags": Because(True, "labels and taints as tags, so that the autoscaler can start from no node"),
    }
    body = {
        "apiVersion": "eksctl.io/v1alpha5",
        "kind": "ClusterConfig",
        "metadata": {"name": design.kubernetes.cluster or "CLUSTER", "region": "$REGION"},
        "managedNodeGroups": [group],
    }
    text = to_yaml([Manifest(body=body, file="")]).replace('"$REGION"', "$REGION")
    return f"eksctl create nodegroup -f - <<EOF\n{text}EOF\n"


def gpu_operator_values(design: ServiceDesign, dcgm: Mapping[str, Any]) -> str:
    """Values of the chart nvidia/gpu-operator; `dcgm` has its section `dcgmExporter`."""
    in_cloud = design.node_pools != "none"
    keys = dict.fromkeys(("nvidia.com/gpu", design.kubernetes.taint_key))
    tolerations: list[Any] = [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in keys]
    tolerations += [
        {"key": each.key, "operator": "Exists", "effect": each.effect} for each in design.kubernetes.tolerations
    ]
    values: dict[str, Any] = {
        "driver": {
            "enabled": Because(
                not in_cloud, "the cloud's GPU image brings it" if in_cloud else "580 or newer: CUDA 13"
            ),
            **({} if in_cloud else {"upgradePolicy": _UPGRADES}),
        },
        "toolkit": {
            "enabled": not in_cloud,
            "env": [
                {
                    "name": "ACCEPT_NVIDIA_VISIBLE_DEVICES_ENVVAR_WHEN_UNPRIVILEGED",
                    "value": Because("false", "otherwise any image with NVIDIA_VISIBLE_DEVICES=all sees every GPU"),
                }
            ],
        },
        "cdi": {"enabled": True},
        "daemonsets": {
            "tolerations": Because(tolerations, "all taints of the GPU nodes: a DaemonSet kept away means no GPU there")
        },
        "node-feature-discovery": {"worker": {"tolerations": tolerations}},
        **dcgm,
    }
    if design.node_pools == "gke":
        values["devicePlugin"] = {"enabled": Because(False, "GKE has its own; two would advertise each GPU twice")}
    comment = "Values for the GPU Operator: helm upgrade --install gpu-operator nvidia/gpu-operator -f THIS_FILE"
    return to_yaml([Manifest(body=values, file="", comment=comment)])


_UPGRADES = Because(
    {"autoUpgrade": False},
    "an automatic upgrade evicts every GPU pod, node by node, when the operator is upgraded: choose the hour yourself",
)
