"""A service as plain objects, small enough to read: what the tests of the cluster's verbs apply."""

import copy
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
NAME, NAMESPACE = "chat", "llm"
LABELS = {"app.kubernetes.io/part-of": NAME, "app.kubernetes.io/managed-by": "flyball"}


def body(api_version: str, kind: str, name: str, **parts: Any) -> Object:
    metadata: Object = {"name": name, "labels": dict(LABELS)}
    if kind not in ("Namespace", "NodePool"):
        metadata["namespace"] = NAMESPACE
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **copy.deepcopy(parts)}


def namespace() -> Object:
    return body("v1", "Namespace", NAMESPACE)


def config_map(**data: str) -> Object:
    return body("v1", "ConfigMap", "chat-gateway", data=data or {"envoy.yaml": "admin: {}\nlisteners: []\n"})


def claim() -> Object:
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "40Gi"}}}
    return body("v1", "PersistentVolumeClaim", "chat-weights", spec=spec)


def job(image: str = "fetch:1") -> Object:
    pod = {"containers": [{"name": "fetch", "image": image}], "restartPolicy": "OnFailure"}
    return body("batch/v1", "Job", "chat-weights", spec={"template": {"spec": pod}})


def deployment(name: str = "chat-engine", *, image: str = "vllm:1", replicas: int | None = None) -> Object:
    labels = {**LABELS, "app.kubernetes.io/component": "engine", "app.kubernetes.io/name": name}
    container = {
        "name": "vllm",
        "image": image,
        "ports": [{"name": "http", "containerPort": 8000}],
        "resources": {"limits": {"nvidia.com/gpu": "1"}},
    }
    spec: Object = {
        "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    return body("apps/v1", "Deployment", name, spec=spec | ({} if replicas is None else {"replicas": replicas}))


def scaled_object(api_version: str = "keda.sh/v1alpha1") -> Object:
    spec = {
        "scaleTargetRef": {"name": "chat-engine"},
        "minReplicaCount": 1,
        "maxReplicaCount": 8,
        "triggers": [{"type": "prometheus", "metadata": {"threshold": "10"}}],
    }
    return body(api_version, "ScaledObject", "chat-engine", spec=spec)


def autoscaler(name: str = "chat-engine") -> Object:
    target = {"type": "AverageValue", "averageValue": "10"}
    metric = {"type": "Pods", "pods": {"metric": {"name": "vllm_requests_in_system"}, "target": target}}
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat-engine"}
    spec = {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": 8, "metrics": [metric]}
    return body("autoscaling/v2", "HorizontalPodAutoscaler", name, spec=spec)


def pod_monitor() -> Object:
    return body("monitoring.coreos.com/v1", "PodMonitor", "chat-engine", spec={"podMetricsEndpoints": []})


def service() -> list[Object]:
    """All of it, in an order that is not the one to apply it in."""
    return [pod_monitor(), scaled_object(), deployment(), job(), claim(), config_map(), namespace()]


def write(path: Path, objects: list[Object]) -> Path:
    path.write_text(yaml.safe_dump_all(objects))
    return path


SPEC = f"name: {NAME}\nmodel: {{id: meta-llama/Llama-3.1-8B-Instruct}}\nkubernetes: {{namespace: {NAMESPACE}}}\n"
