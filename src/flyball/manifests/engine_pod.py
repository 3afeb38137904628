"""The pod of a replica."""

from collections.abc import Mapping
from typing import Any

from flyball.manifests.command_line import command_line, model_path
from flyball.manifests.design import ENGINE_PORT, Capacity, ServiceDesign
from flyball.manifests.drain import Drain, drain
from flyball.manifests.manifest import Because
from flyball.manifests.placement import capacity_labels, placement
from flyball.manifests.probes import PROBE_FOLDER, probes
from flyball.manifests.resources import resources, shared_memory_gib
from flyball.manifests.security import API_KEY, LOCKED_DOWN, api_key_secret_name, pod_security
from flyball.manifests.start_up import StartUp, start_up
from flyball.manifests.weights import COMPLETE, cache_volume, weights_volume

HOME = "/home/vllm"
CACHE = "/cache"


def pod_template(design: ServiceDesign, capacity: Capacity, marks: Mapping[str, Any]) -> dict[str, Any]:
    """`spec.template` of an engine Deployment; `marks` are more annotations."""
    annotations = {
        "karpenter.sh/do-not-disrupt": Because("true", "a node is not taken away to save money while a model loads"),
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        **marks,
    }
    labels = {**design.labels("engine"), **capacity_labels(design, capacity)}
    return {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod_spec(design, capacity)}


def pod_spec(design: ServiceDesign, capacity: Capacity) -> dict[str, Any]:
    leave, times, kubernetes = drain(design, capacity), start_up(design), design.kubernetes
    spec: dict[str, Any] = {
        "serviceAccountName": design.engine_name,
        "automountServiceAccountToken": Because(False, "a server of strangers' requests has no business with the API"),
        "enableServiceLinks": Because(
            False, "a Service named vllm would inject VLLM_PORT=tcp://..., which vLLM takes for its own setting"
        ),
        "terminationGracePeriodSeconds": Because(leave.grace_s, grace_reason(leave)),
        "securityContext": pod_security(),
        **placement(design, capacity, selector={**design.selector("engine"), **capacity_labels(design, capacity)}),
    }
    if kubernetes.runtime_class:
        spec["runtimeClassName"] = kubernetes.runtime_class
    if kubernetes.image_pull_secret:
        spec["imagePullSecrets"] = [{"name": kubernetes.image_pull_secret}]
    if kubernetes.weights.in_claim:
        spec["initContainers"] = [wait_for_weights(design)]
    return {**spec, "containers": [container(design, leave, times)], "volumes": volumes(design)}


def grace_reason(leave: Drain) -> str:
    parts = (
        f"{leave.pre_stop_s} s preStop + {leave.shutdown_timeout_s} s --shutdown-timeout + {leave.teardown_s} s to end"
    )
    if leave.outlives_notice:
        return f"{parts}; of it pods get {leave.notice_s:g} s before a spot machine goes, enough for the first two"
    if leave.notice_s is not None:
        return f"{parts}; pods get {leave.notice_s:g} s before a spot machine goes"
    return f"{parts}, and no more: when an answer overruns, only SIGKILL frees its client"


def container(design: ServiceDesign, leave: Drain, times: StartUp) -> dict[str, Any]:
    pre_stop = (
        "vLLM does not stop accepting by itself: the gateways must forget this replica first (headless Service, CoreDNS"
        " caches for 30 s). After SIGTERM a new request gets HTTP 500, which the gateway tries elsewhere"
    )
    return {
        "name": "vllm",
        "image": image(design.image),
        "imagePullPolicy": "IfNotPresent",
        "args": command_line(design, leave),
        "env": environment(design, times),
        "ports": [{"name": "http", "containerPort": ENGINE_PORT}],
        **probes(design, times),
        "lifecycle": {"preStop": Because({"sleep": {"seconds": leave.pre_stop_s}}, pre_stop)},
        "resources": resources(design),
        "securityContext": LOCKED_DOWN,
        "volumeMounts": mounts(design),
    }


def image(name: str) -> Any:
    """The image; without a digest, how to get it."""
    if "@sha256:" in name:
        return name
    repository = name.rsplit(":", 1)[0]
    command = f"docker buildx imagetools inspect {name} --format '{{{{.Manifest.Digest}}}}'"
    return Because(
        name, f"A tag can be pushed again. Pin it as {repository}:TAG@DIGEST, with what this prints:\n{command}"
    )


def environment(design: ServiceDesign, times: StartUp) -> list[dict[str, Any]]:
    variables: list[tuple[str, Any]] = [
        (
            "HF_HUB_OFFLINE",
            Because("1", "the weights are local; the hub is asked nothing, so it cannot throttle a start"),
        ),
        ("HOME", HOME),
        ("HF_HOME", f"{HOME}/huggingface"),
        ("VLLM_CACHE_ROOT", Because(cache_root(design), "compiled kernels, for this version, model and GPU alone")),
        (
            "VLLM_ENGINE_READY_TIMEOUT_S",
            Because(str(times.budget_s), "vLLM's own limit, as long as the startup probe's"),
        ),
        ("VLLM_NO_USAGE_STATS", "1"),
    ]
    if design.kubernetes.egress == "internet":
        variables.append(("VLLM_MEDIA_URL_ALLOW_REDIRECTS", Because("0", "a redirect could lead inside the cluster")))
    found: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in variables]
    if design.spec.gateway.api_key_env:
        key = {"secretKeyRef": {"name": api_key_secret_name(design), "key": API_KEY}}
        found.append({"name": "VLLM_API_KEY", "valueFrom": key})
    return found


def cache_root(design: ServiceDesign) -> str:
    """Caches are compiled code: a folder for each version, model, GPU and number of GPUs."""
    model = design.spec.model.id.rstrip("/").rsplit("/", 1)[-1].lower()
    return f"{CACHE}/vllm-{design.release.version}/{model}-{design.accelerator.name.lower()}-x{design.gpus_per_replica}"


def mounts(design: ServiceDesign) -> list[dict[str, Any]]:
    probe = [{"name": "probe", "mountPath": PROBE_FOLDER, "readOnly": True}]
    return [
        {"name": "weights", "mountPath": "/models", "readOnly": True},
        {"name": "cache", "mountPath": CACHE},
        {"name": "shm", "mountPath": "/dev/shm"},
        {"name": "home", "mountPath": HOME},
        {"name": "tmp", "mountPath": "/tmp"},
        *(probe if design.kubernetes.liveness == "progress" else []),
    ]


def volumes(design: ServiceDesign) -> list[dict[str, Any]]:
    size = shared_memory_gib(design)
    shm = {"medium": "Memory", "sizeLimit": f"{size}Gi"}
    probe = [{"name": "probe", "configMap": {"name": f"{design.engine_name}-probe"}}]
    return [
        {"name": "weights", **weights_volume(design)},
        {"name": "cache", **cache_volume(design)},
        {"name": "shm", "emptyDir": Because(shm, "containers get 64 MiB, too little for ranks to exchange through")},
        {"name": "home", "emptyDir": {"sizeLimit": "2Gi"}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}},
        *(probe if design.kubernetes.liveness == "progress" else []),
    ]


def wait_for_weights(design: ServiceDesign) -> dict[str, Any]:
    """Holds a replica back until the Job has fetched its revision, whatever was applied first."""
    done = f"{model_path(design)}/{COMPLETE}"
    return {
        "name": "weights",
        "image": design.image,
        "command": ["sh", "-c", f"until [ -e {done} ]; do echo waiting for {done}; sleep 5; done"],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": LOCKED_DOWN,
        "volumeMounts": [{"name": "weights", "mountPath": "/models", "readOnly": True}],
    }
