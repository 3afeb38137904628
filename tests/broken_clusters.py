"""Ways to break a sound cluster, each with the link that must notice and words that its answer must hold."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flyball.cluster.custom_kinds import missing_kinds
from flyball.cluster.doctor.symptom import State
from flyball.cluster.objects import ObjectKey
from sound_cluster import PODS, Bench

Change = Callable[[Bench], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakage:
    name: str
    link: str
    state: State
    says: str
    change: Change


BREAKAGES: list[Breakage] = []


def breaks(link: str, says: str, *, state: State = "broken") -> Callable[[Change], Change]:
    """Registers a change that the link must answer with a symptom that contains `says`."""

    def register(change: Change) -> Change:
        BREAKAGES.append(Breakage(name=change.__name__, link=link, state=state, says=says, change=change))
        return change

    return register


def warns(link: str, says: str) -> Callable[[Change], Change]:
    return breaks(link, says, state="warning")


def _nodes(bench: Bench) -> list[dict[str, Any]]:
    return [each for each in bench.live if each["metadata"]["name"].startswith("gpu-")]


def engine_pods(bench: Bench) -> list[dict[str, Any]]:
    return [each for each in bench.live if each["metadata"]["name"] in PODS]


def condition(each: dict[str, Any], kind: str, **parts: str) -> None:
    conditions = each["status"].setdefault("conditions", [])
    each["status"]["conditions"] = [found for found in conditions if found["type"] != kind] + [{"type": kind, **parts}]


# The API server.


@breaks("api", "connection refused")
def api_unreachable(bench: Bench) -> None:
    bench.more = {"version": "", "failure": "cannot reach the API server: connection refused"}


@breaks("answers", "the connection broke")
def api_dies(bench: Bench) -> None:
    bench.more = {"failure": "the connection broke: list pods"}


@warns("api", "refuses or drops lifecycle.preStop.sleep")
def old_server(bench: Bench) -> None:
    bench.more = {"version": "v1.28.4-eks-a1b2c3"}


@warns("permissions", "not nodes")
def no_permission(bench: Bench) -> None:
    bench.more = {"denied": ("list nodes",)}


@warns("permissions", "deployments.apps")
def no_write_permission(bench: Bench) -> None:
    bench.more = {"denied": ("patch deployments.apps",)}


def _unserved(bench: Bench, api_version: str, kind: str, *versions: str) -> None:
    key = ObjectKey(api_version=api_version, kind=kind, name="chat-engine", namespace="llm")
    bench.more = {"unserved": missing_kinds([(key, versions)])}


@breaks("kinds", "the cluster does not know ScaledObject of keda.sh/v1alpha1 (chat-engine)")
def no_keda(bench: Bench) -> None:
    _unserved(bench, "keda.sh/v1alpha1", "ScaledObject")


@breaks("kinds", "it has karpenter.sh/v1beta1")
def old_crd(bench: Bench) -> None:
    _unserved(bench, "karpenter.sh/v1", "NodePool", "karpenter.sh/v1beta1")


# GPUs.


@breaks("gpus", "none, and nothing that would add one")
def no_gpu_node(bench: Bench) -> None:
    bench.live = [each for each in bench.live if each not in _nodes(bench)]


@warns("gpus", "may add one: Karpenter with gpu-spot")
def no_gpu_node_yet(bench: Bench) -> None:
    no_gpu_node(bench)
    bench.add("NodePool", "karpenter.sh/v1", metadata={"name": "gpu-spot"}, spec={"template": {"spec": {}}})


@breaks("gpus", "the taint gpu-node=true:NoSchedule keeps DaemonSet gpu-operator/nvidia-device-plugin-daemonset")
def operator_locked_out(bench: Bench) -> None:
    for node in _nodes(bench):
        node["spec"]["taints"] = [{"key": "gpu-node", "value": "true", "effect": "NoSchedule"}]
        del node["status"]["allocatable"]["nvidia.com/gpu"]
        del node["status"]["capacity"]["nvidia.com/gpu"]


@breaks("gpus", "the taint dedicated=gpu:NoSchedule keeps")
def operator_locked_out_before_it_labelled(bench: Bench) -> None:
    operator_locked_out(bench)
    for node in _nodes(bench):
        node["spec"]["taints"] = [{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}]
        node["metadata"]["labels"] = {"node.kubernetes.io/instance-type": "g5.12xlarge"}
    for daemon in (each for each in bench.live if each["kind"] == "DaemonSet"):
        daemon["spec"]["template"]["spec"]["nodeSelector"] = {"nvidia.com/gpu.deploy.device-plugin": "true"}


@breaks("gpus", "no DaemonSet of a device plugin")
def no_device_plugin(bench: Bench) -> None:
    bench.remove("DaemonSet")
    for node in _nodes(bench):
        node["status"]["allocatable"]["nvidia.com/gpu"] = "0"


@breaks("gpus", "has 0 of 2 pods ready")
def device_plugin_crashes(bench: Bench) -> None:
    bench.live_object("DaemonSet", "nvidia-device-plugin-daemonset")["status"]["numberReady"] = 0
    for node in _nodes(bench):
        node["status"]["allocatable"]["nvidia.com/gpu"] = "0"
        node["status"]["capacity"]["nvidia.com/gpu"] = "0"


@breaks("gpus", "not True")
def gpu_nodes_not_ready(bench: Bench) -> None:
    for node in _nodes(bench):
        condition(node, "Ready", status="Unknown", reason="NodeStatusUnknown")


@warns("gpus", "not True")
def one_gpu_node_not_ready(bench: Bench) -> None:
    condition(bench.live_object("Node", "gpu-2"), "Ready", status="False", reason="KubeletNotReady")


@warns("gpus", "3 of 4: unhealthy devices")
def unhealthy_gpu(bench: Bench) -> None:
    bench.live_object("Node", "gpu-1")["status"]["allocatable"]["nvidia.com/gpu"] = "3"


@warns("gpus", "DaemonSet gpu-operator/nvidia-dcgm-exporter")
def exporter_locked_out(bench: Bench) -> None:
    exporter = bench.live_object("DaemonSet", "nvidia-dcgm-exporter")
    exporter["spec"]["template"]["spec"]["tolerations"] = []


@breaks("driver", "CUDA error 803")
def old_driver(bench: Bench) -> None:
    for node in _nodes(bench):
        node["metadata"]["labels"]["nvidia.com/cuda.driver-version.major"] = "550"


@warns("driver", "535")
def one_old_driver(bench: Bench) -> None:
    labels = bench.live_object("Node", "gpu-1")["metadata"]["labels"]
    del labels["nvidia.com/cuda.driver-version.major"]
    labels["nvidia.com/cuda.driver.major"] = "535"


# Where pods may go.


@breaks("placement", "taint dedicated=research:NoSchedule")
def foreign_taint(bench: Bench) -> None:
    for node in _nodes(bench):
        node["spec"]["taints"].append({"key": "dedicated", "value": "research", "effect": "NoSchedule"})
    for daemon in (each for each in bench.live if each["kind"] == "DaemonSet"):
        daemon["spec"]["template"]["spec"]["tolerations"] = [{"operator": "Exists"}]


@breaks("placement", "nvidia.com/gpu.product is NVIDIA-L4, not NVIDIA-A10G")
def another_gpu(bench: Bench) -> None:
    for node in _nodes(bench):
        node["metadata"]["labels"]["nvidia.com/gpu.product"] = "NVIDIA-L4"


@breaks("placement", "karpenter.sh/capacity-type is on-demand, not spot")
def pool_of_another_kind(bench: Bench) -> None:
    another_gpu(bench)
    template = {"metadata": {"labels": {"karpenter.sh/capacity-type": "on-demand"}}, "spec": {}}
    bench.add("NodePool", "karpenter.sh/v1", metadata={"name": "gpus"}, spec={"template": template})
    pod = bench.rendered_object("Deployment", "chat-engine")["spec"]["template"]["spec"]
    pod["nodeSelector"] = {"karpenter.sh/capacity-type": "spot"}


@warns("placement", "cordoned")
def one_cordoned(bench: Bench) -> None:
    bench.live_object("Node", "gpu-2")["spec"]["unschedulable"] = True


def _occupy(bench: Bench, node: str, gpus: int, **more: str) -> None:
    resources = {"nvidia.com/gpu": str(gpus), **more}
    spec = {"nodeName": node, "containers": [{"name": "train", "resources": {"requests": resources}}]}
    bench.add("Pod", metadata={"name": f"train-{node}", "namespace": "ml"}, spec=spec, status={"phase": "Running"})


@breaks("capacity", "0 GPUs are free on 2 nodes")
def no_free_gpu(bench: Bench) -> None:
    for pod in engine_pods(bench):
        bench.live.remove(pod)
    _occupy(bench, "gpu-1", 4)
    _occupy(bench, "gpu-2", 4)


@warns("capacity", "for 3: 1 GPUs are free")
def room_for_the_minimum_only(bench: Bench) -> None:
    _occupy(bench, "gpu-1", 3)
    _occupy(bench, "gpu-2", 2)


def _tensor_parallel(bench: Bench, gpus: int) -> None:
    container = bench.rendered_object("Deployment", "chat-engine")["spec"]["template"]["spec"]["containers"][0]
    container["resources"]["limits"]["nvidia.com/gpu"] = str(gpus)


@breaks("capacity", "4 GPUs are free, at most 2 on one node")
def scattered_gpus(bench: Bench) -> None:
    for pod in engine_pods(bench):
        bench.live.remove(pod)
    _tensor_parallel(bench, 4)
    _occupy(bench, "gpu-1", 2)
    _occupy(bench, "gpu-2", 2)


@breaks("capacity", "lack memory")
def no_memory_beside_the_gpu(bench: Bench) -> None:
    for pod in engine_pods(bench):
        bench.live.remove(pod)
    _occupy(bench, "gpu-1", 1, memory="180Gi")
    _occupy(bench, "gpu-2", 1, memory="180Gi")


@warns("capacity", "0: 2 of 2 are used")
def pool_at_its_limit(bench: Bench) -> None:
    spec = {"template": {"spec": {}}, "limits": {"nvidia.com/gpu": "2"}}
    status = {"resources": {"nvidia.com/gpu": "2"}}
    bench.add("NodePool", "karpenter.sh/v1", metadata={"name": "gpus"}, spec=spec, status=status)


@warns("capacity", "more only by the cluster autoscaler")
def cluster_autoscaler_decides(bench: Bench) -> None:
    room_for_the_minimum_only(bench)
    bench.more = {"has_cluster_autoscaler": True}


@breaks("runtime-class", "not there; there are: nvidia")
def unknown_runtime_class(bench: Bench) -> None:
    bench.rendered_object("Deployment", "chat-engine")["spec"]["template"]["spec"]["runtimeClassName"] = "nvidia-cdi"


@breaks("runtime-class", "gpu-1 runs k3s")
def k3s_without_runtime_class(bench: Bench) -> None:
    bench.live_object("Node", "gpu-1")["status"]["nodeInfo"]["kubeletVersion"] = "v1.36.1+k3s1"


# Storage and limits.


def _unbound(bench: Bench, **event: str) -> None:
    bench.live_object("PersistentVolumeClaim")["status"] = {"phase": "Pending"}
    if event:
        about = {"kind": "PersistentVolumeClaim", "name": "chat-weights", "namespace": "llm"}
        metadata = {"name": "e1", "namespace": "llm"}
        bench.add("Event", metadata=metadata, involvedObject=about, type="Warning", **event)


@breaks("storage", "not there; there are: gp3")
def no_storage_class(bench: Bench) -> None:
    _unbound(bench)
    bench.remove("StorageClass", "efs")


@breaks("storage", "ebs.csi.aws.com provides volumes for one node at a time")
def block_storage_for_many(bench: Bench) -> None:
    bench.remove("PersistentVolumeClaim")
    bench.rendered_object("PersistentVolumeClaim")["spec"]["storageClassName"] = "gp3"


@breaks("storage", "ReadWriteOnce")
def one_node_for_several_replicas(bench: Bench) -> None:
    bench.live_object("PersistentVolumeClaim")["spec"]["accessModes"] = ["ReadWriteOnce"]


@breaks("storage", "ProvisioningFailed: access point not found")
def claim_not_provisioned(bench: Bench) -> None:
    _unbound(bench, reason="ProvisioningFailed", message="access point not found")


@breaks("storage", "BackoffLimitExceeded")
def fetching_failed(bench: Bench) -> None:
    job = bench.live_object("Job")
    job["status"] = {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}


@breaks("quota", "0 left of 2")
def quota_too_small(bench: Bench) -> None:
    for pod in engine_pods(bench):
        bench.live.remove(pod)
    bench.live_object("ResourceQuota")["spec"]["hard"]["requests.nvidia.com/gpu"] = "2"


@warns("quota", "1 left of 3")
def quota_below_the_maximum(bench: Bench) -> None:
    bench.live_object("ResourceQuota")["spec"]["hard"]["requests.nvidia.com/gpu"] = "3"


@breaks("quota", "not stated, and the quota counts it")
def quota_wants_limits(bench: Bench) -> None:
    bench.live_object("ResourceQuota")["spec"]["hard"]["limits.cpu"] = "200"


@breaks("quota", "the default limit is 500m, below the request")
def default_limit_below_request(bench: Bench) -> None:
    bench.live_object("LimitRange")["spec"]["limits"][0]["default"]["cpu"] = "500m"


@breaks("quota", "at least 8")
def request_below_the_range(bench: Bench) -> None:
    bench.live_object("LimitRange")["spec"]["limits"][0]["min"]["cpu"] = "8"


@breaks("quota", "at most 16Gi")
def limit_range_too_small(bench: Bench) -> None:
    bench.live_object("LimitRange")["spec"]["limits"][0]["max"]["memory"] = "16Gi"
