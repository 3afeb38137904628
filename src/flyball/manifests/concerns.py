"""What a reviewer would object to in a design that can be rendered all the same."""

from collections.abc import Iterator
from dataclasses import dataclass

from flyball.catalog import SAFE_RELEASE, advisories
from flyball.manifests.behavior import behavior
from flyball.manifests.command_line import queue_limit
from flyball.manifests.design import ServiceDesign
from flyball.manifests.drain import drain
from flyball.manifests.manifest import unwrapped
from flyball.manifests.rollout import spare_replicas
from flyball.manifests.start_up import start_up


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """One line each: what is wrong, and what to do about it."""

    what: str
    fix: str


def concerns(design: ServiceDesign) -> tuple[Concern, ...]:
    """In the order in which they matter."""
    return (*_scaling(design), *_leaving(design), *_pinning(design), *_cluster(design))


def _scaling(design: ServiceDesign) -> Iterator[Concern]:
    if not design.is_scaled:
        return
    if design.spec.scaling.signal == "waiting":
        yield Concern(
            what="scaling.signal waiting: the queue reads 0 until every sequence of a replica is taken"
            f" ({design.max_num_seqs}), and at 0 a busy fleet is told to shrink to its minimum",
            fix="scaling.signal: in_system scales on running + waiting requests",
        )
        limit = design.spec.engine.get("max_num_queued_reqs", queue_limit(design).value)
        if isinstance(limit, int) and float(design.target.value) >= limit:
            yield Concern(
                what=f"the target of {design.target.value:g} waiting requests is not below engine.max_num_queued_reqs"
                f" ({limit}): the autoscaler can never act",
                fix=f"a lower scaling.target, or engine.max_num_queued_reqs: {4 * float(design.target.value):.0f}",
            )
    window = unwrapped(behavior(design)["scaleDown"]["stabilizationWindowSeconds"])
    cold_s = start_up(design).cold_s
    if window < cold_s:
        yield Concern(
            what=f"the scale-down window of {window} s is shorter than a replica takes to come ({cold_s} s)",
            fix=f"scaling.behavior.scale_down.stabilization_window: {min(3600, cold_s)}s, or a faster start",
        )
    if design.floor_replicas and design.spec.scaling.by == "prometheus-adapter":
        yield Concern(
            what="with the Prometheus Adapter at least one replica stays on spot: an HPA cannot go to 0, nor read the"
            " replicas of the floor",
            fix="scaling.by: keda asks for the sum over the whole service",
        )


def _leaving(design: ServiceDesign) -> Iterator[Concern]:
    leave = drain(design, design.scaled_capacity)
    if leave.cuts_streams:
        yield Concern(
            what=f"streams of up to {leave.longest_stream_s} s do not fit the {leave.notice_s:g} s that pods get before"
            f" a spot machine goes: those longer than {leave.shutdown_timeout_s} s are cut",
            fix="hardware.spot.allowed: false, a shorter max_tokens at the clients, or accept it",
        )
    if spare_replicas(design) == 0 and int(design.min_replicas.value) == 1 and not design.floor_replicas:
        yield Concern(
            what="one replica and no spare GPU: every rollout stops the service for as long as a replica starts",
            fix="scaling.min: 2, or kubernetes.spare_gpus",
        )


def _pinning(design: ServiceDesign) -> Iterator[Concern]:
    for key, image in (("image", design.image), ("envoy_image", design.kubernetes.envoy_image)):
        if "@sha256:" not in image:
            yield Concern(
                what=f"{image} has no digest, and a tag can be pushed again",
                fix=f"kubernetes.{key}: {image}@sha256:...; the rendered comment says how to get it",
            )
    if design.spec.model.revision is None and design.kubernetes.weights.image is None:
        yield Concern(
            what=f"the weights of {design.spec.model.id} are not pinned: replicas may come to serve different ones",
            fix="model.revision: the commit of the model on the hub",
        )
    known = advisories(design.release.version)
    if known:
        yield Concern(
            what=f"vLLM {design.release.version} has {len(known)} known advisories, the newest {known[-1].id}",
            fix=f"--vllm {SAFE_RELEASE}",
        )
    if design.node_pools == "karpenter" and design.kubernetes.ami.endswith("@latest"):
        yield Concern(
            what=f"{design.kubernetes.ami}: a new machine image replaces every node when it is published",
            fix="kubernetes.ami: al2023@v<date>",
        )


def _cluster(design: ServiceDesign) -> Iterator[Concern]:
    weights = design.kubernetes.weights
    if weights.in_claim and weights.storage_class is None:
        yield Concern(
            what="kubernetes.weights.storage_class is not given: the cluster's default class must offer ReadWriteMany,"
            " and those for block devices (EBS, Persistent Disk) do not",
            fix="name a class of a shared file system: EFS, Filestore, Azure Files, NFS",
        )
    if design.kubernetes.taint_key != "nvidia.com/gpu":
        yield Concern(
            what=f"the taint {design.kubernetes.taint_key} keeps the GPU Operator's DaemonSets off the nodes, and with"
            " them every GPU, unless the operator runs with the rendered gpu-operator-values.yaml",
            fix="kubernetes.taint_key: nvidia.com/gpu, which they tolerate by themselves",
        )
    if design.kubernetes.cluster is None and design.machine.cloud.name in ("aws", "gcp"):
        yield Concern(
            what="no node pools: the cluster has no name",
            fix="kubernetes.cluster: the cluster's name, or kubernetes.node_pools: none where there are GPU nodes",
        )
