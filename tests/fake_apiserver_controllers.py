"""What controllers would do to the objects of the tests' API server, in steps that a test orders.

Each function makes a reaction for `server.store.reactions`. Steps wait in `store.steps`; every watch request lets one
happen, so that a client that waits sees them one by one, and none of them takes time.
"""

from typing import Any

from fake_apiserver_store import Object, Reaction, RefusalError, Store

NODE = "gpu-node-1"


def deployments(*, pending: str = "", waiting: str = "", ready_after: int = 1) -> Reaction:
    """Deployments get pods; after `ready_after` steps they are ready, unless a reason holds them.

    `pending`: the scheduler's message. `waiting`: the reason why a container does not start, such as ImagePullBackOff.
    """

    def react(store: Store, event: str, body: Object) -> None:
        if body["kind"] != "Deployment" or event == "DELETED":
            return
        status: Object = body.get("status", {})
        replicas = body["spec"].get("replicas", 1)
        is_settled = status.get("observedGeneration") == body["metadata"]["generation"]
        if is_settled:
            return
        name, namespace = body["metadata"]["name"], body["metadata"]["namespace"]
        held = bool(pending or waiting)
        _set_status(
            store,
            body,
            {"observedGeneration": body["metadata"]["generation"], "replicas": replicas, "updatedReplicas": replicas},
        )
        _pods(store, body, replicas, pending=pending, waiting=waiting)
        if held:
            return

        def settle() -> None:
            current = store.get("Deployment", name, namespace)
            if current is None:
                return
            for pod in store.all("Pod", namespace):
                if _is_of(pod, current):
                    _set_status(store, pod, pod_status(is_ready=True))
            ready = dict.fromkeys(("readyReplicas", "availableReplicas"), replicas)
            condition = {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"}
            _set_status(store, current, {**current["status"], **ready, "conditions": [condition]})

        store.steps += [lambda: None] * (ready_after - 1) + [settle]

    return react


def jobs(*, failure: str = "") -> Reaction:
    """Jobs complete after one step, or fail with this message."""

    def react(store: Store, event: str, body: Object) -> None:
        if body["kind"] != "Job" or event != "ADDED":
            return
        name, namespace = body["metadata"]["name"], body["metadata"]["namespace"]

        def finish() -> None:
            job = store.get("Job", name, namespace)
            if job is None:
                return
            if failure:
                condition = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": failure}
                _set_status(store, job, {"failed": 7, "conditions": [condition]})
            else:
                condition = {"type": "Complete", "status": "True"}
                _set_status(store, job, {"succeeded": 1, "conditions": [condition]})

        store.steps.append(finish)

    return react


def volumes(*, phase: str = "Bound") -> Reaction:
    """Claims are bound at once (or stay Pending)."""

    def react(store: Store, event: str, body: Object) -> None:
        if body["kind"] == "PersistentVolumeClaim" and event == "ADDED":
            _set_status(store, body, {"phase": phase})

    return react


def keda() -> Reaction:
    """ScaledObjects get an HPA, as KEDA's operator makes one, and turn Ready."""

    def react(store: Store, event: str, body: Object) -> None:
        if body["kind"] != "ScaledObject" or event != "ADDED":
            return
        name, namespace = body["metadata"]["name"], body["metadata"]["namespace"]
        target = body["spec"]["scaleTargetRef"]["name"]
        spec = {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "minReplicas": body["spec"].get("minReplicaCount", 1),
            "maxReplicas": body["spec"].get("maxReplicaCount", 1),
        }
        metadata = {
            "name": f"keda-hpa-{name}",
            "namespace": namespace,
            "ownerReferences": [{"kind": "ScaledObject", "name": name, "uid": body["metadata"]["uid"]}],
        }
        hpa = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}
        store.put(hpa, manager="keda")
        condition = {"type": "Ready", "status": "True", "reason": "ScaledObjectReady"}
        _set_status(store, body, {"conditions": [condition], "hpaName": f"keda-hpa-{name}"}, manager="keda")

    return react


def autoscalers(*, failure: str = "") -> Reaction:
    """HPAs read their metric, or say why not, as the HPA controller does at its first sync."""

    def react(store: Store, event: str, body: Object) -> None:
        if body["kind"] != "HorizontalPodAutoscaler" or event != "ADDED":
            return
        active = {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}
        if failure:
            active = {"type": "ScalingActive", "status": "False", "reason": "FailedGetPodsMetric", "message": failure}
        store.steps.append(lambda: _set_status(store, body, {"conditions": [active], "desiredReplicas": 1}))

    return react


def keda_admission(store: Store, body: Object) -> None:
    """KEDA's webhook: no ScaledObject for what another HPA scales (apis/keda/v1alpha1/scaledobject_webhook.go)."""
    name, namespace = body["metadata"]["name"], body["metadata"]["namespace"]
    target = body["spec"]["scaleTargetRef"]["name"]
    for hpa in store.all("HorizontalPodAutoscaler", namespace):
        owners = [owner["name"] for owner in hpa["metadata"].get("ownerReferences", [])]
        if hpa["spec"]["scaleTargetRef"]["name"] == target and name not in owners:
            what = f"the workload '{target}' of type 'apps/v1.Deployment' is already managed by the hpa"
            message = (
                f"admission webhook \"vscaledobject.kb.io\" denied the request: {what} '{hpa['metadata']['name']}'"
            )
            raise RefusalError(403, "Forbidden", message)


def scale(store: Store, name: str, namespace: str, replicas: int, *, manager: str = "kube-controller-manager") -> None:
    """What the HPA controller (or `kubectl scale`) does: an update through the scale subresource."""
    store.edit("Deployment", name, namespace, manager=manager, subresource="scale", spec={"replicas": replicas})


def pod_status(*, is_ready: bool) -> Object:
    """The status of a pod that runs."""
    container = {"name": "vllm", "ready": is_ready, "restartCount": 0, "started": is_ready, "state": {"running": {}}}
    conditions = [{"type": "Ready", "status": str(is_ready)}, {"type": "PodScheduled", "status": "True"}]
    return {"phase": "Running", "containerStatuses": [container], "conditions": conditions}


def _pods(store: Store, deployment: Object, replicas: int, *, pending: str, waiting: str) -> None:
    namespace = deployment["metadata"]["namespace"]
    template = deployment["spec"]["template"]
    for index in range(replicas):
        name = f"{deployment['metadata']['name']}-5d9c-{index}"
        status = pod_status(is_ready=False)
        spec: Object = {**template["spec"], "nodeName": NODE}
        if pending:
            scheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": pending}
            status, spec = {"phase": "Pending", "conditions": [scheduled]}, dict(template["spec"])
        elif waiting:
            state = {"waiting": {"reason": waiting, "message": f"the kubelet says {waiting}"}}
            status["containerStatuses"][0]["state"] = state
            status["phase"] = "Pending"
        owner = {"kind": "Deployment", "name": deployment["metadata"]["name"], "uid": deployment["metadata"]["uid"]}
        labels: Any = template["metadata"]["labels"]
        metadata = {"name": name, "namespace": namespace, "labels": labels, "ownerReferences": [owner]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}
        store.put(pod, manager="kube-controller-manager")


def _is_of(pod: Object, deployment: Object) -> bool:
    return any(
        owner.get("uid") == deployment["metadata"]["uid"] for owner in pod["metadata"].get("ownerReferences", [])
    )


def _set_status(store: Store, body: Object, status: Object, *, manager: str = "kube-controller-manager") -> None:
    metadata = body["metadata"]
    current = store.get(body["kind"], metadata["name"], metadata.get("namespace", ""))
    if current is not None:
        store.put({**current, "status": status}, manager=manager, subresource="status")
