"""Why a pod is not ready: the cluster's words and what to do, from recorded shapes of statuses and events."""

from typing import Any

import pytest

from flyball.cluster.pod_state import explain_pod
from flyball.cluster.waiting import explanations

Object = dict[str, Any]


def pod(**status: Any) -> Object:
    limits = {"nvidia.com/gpu": "4"}
    return {
        "metadata": {"name": "chat-1", "labels": {"app.kubernetes.io/component": "engine"}},
        "spec": {"nodeName": "n1", "containers": [{"name": "vllm", "resources": {"limits": limits}}, {"name": "x"}]},
        "status": status,
    }


def container(state: Object, *, ready: bool = False, started: bool = False, **more: Any) -> Object:
    return {"name": "vllm", "ready": ready, "started": started, "restartCount": 2, "state": state, **more}


def unscheduled(message: str) -> Object:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(phase="Pending", conditions=[condition])


def waiting(reason: str, message: str = "", **more: Any) -> Object:
    state = {"waiting": {"reason": reason, "message": message}}
    return pod(phase="Pending", containerStatuses=[container(state, **more)])


def event(reason: str, message: str) -> Object:
    return {"reason": reason, "message": message}


NO_GPU = "0/5 nodes are available: 2 node(s) had untolerated taint {x: y}, 3 Insufficient nvidia.com/gpu."
RUNNING = {"running": {"startedAt": "2026-11-01T08:00:00Z"}}


@pytest.mark.parametrize(
    ("body", "events", "phase", "reason", "hint"),
    [
        (unscheduled(NO_GPU), [], "pending", f"not scheduled: {NO_GPU}", "no free GPU"),
        (
            unscheduled(NO_GPU),
            [event("FailedScheduling", NO_GPU), event("Nominated", "Pod should schedule on: nodeclaim/spot-1")],
            "pending",
            "waits for a node: Pod should schedule on: nodeclaim/spot-1",
            "",
        ),
        (
            unscheduled(NO_GPU),
            [event("NotTriggerScaleUp", "pod didn't trigger scale-up: 1 max node group size reached")],
            "pending",
            "the node autoscaler: pod didn't trigger scale-up: 1 max node group size reached",
            "no free GPU",
        ),
        (
            unscheduled("0/1 nodes are available: 1 node(s) had untolerated taint {nvidia.com/gpu: present}."),
            [],
            "pending",
            "untolerated taint",
            "lack a toleration",
        ),
        (
            unscheduled("pod has unbound immediate PersistentVolumeClaims. not found"),
            [],
            "pending",
            "unbound",
            "storage class",
        ),
        (
            waiting("ImagePullBackOff", "Back-off pulling image"),
            [event("Failed", 'Failed to pull image "vllm/vllm-openai:v9": not found')],
            "failing",
            'vllm: ImagePullBackOff: Failed to pull image "vllm/vllm-openai:v9": not found',
            "tag and digest",
        ),
        (
            waiting("ContainerCreating"),
            [event("Pulling", 'Pulling image "vllm/vllm-openai:v0.33.0"')],
            "starting",
            'vllm: Pulling image "vllm/vllm-openai:v0.33.0"',
            "",
        ),
        (
            waiting("ContainerCreating"),
            [event("Pulling", "Pulling"), event("Pulled", "Pulled")],
            "starting",
            "vllm: ContainerCreating",
            "",
        ),
        (
            waiting("ContainerCreating"),
            [event("FailedMount", 'MountVolume.SetUp failed for volume "weights": timed out')],
            "pending",
            "vllm: FailedMount: MountVolume.SetUp failed",
            "volume claim",
        ),
        (
            waiting("CreateContainerConfigError", 'secret "hf-token" not found'),
            [],
            "failing",
            'secret "hf-token" not found',
            "Secret or ConfigMap",
        ),
        (
            waiting("CrashLoopBackOff", lastState={"terminated": {"reason": "OOMKilled", "exitCode": 137}}),
            [],
            "failing",
            "vllm: crashes again and again, last OOMKilled (exit code 137)",
            "more memory",
        ),
        (
            waiting("CrashLoopBackOff", lastState={"terminated": {"reason": "Error", "exitCode": 1}}),
            [],
            "failing",
            "exit code 1",
            "logs --previous",
        ),
        (
            pod(phase="Running", containerStatuses=[container(RUNNING)]),
            [event("Unhealthy", "Startup probe failed: connection refused")],
            "starting",
            "vllm: starts, its startup probe has not passed yet: Startup probe failed: connection refused",
            "",
        ),
        (
            pod(phase="Running", containerStatuses=[container(RUNNING, started=True)]),
            [event("Unhealthy", "Readiness probe failed: HTTP 503")],
            "failing",
            "vllm: runs, but its readiness probe fails: Readiness probe failed: HTTP 503",
            "",
        ),
        (
            pod(phase="Pending", initContainerStatuses=[{"name": "wait", "state": RUNNING}]),
            [],
            "starting",
            "init container wait is running",
            "",
        ),
        (pod(phase="Pending"), [], "starting", "Pending", ""),
        (pod(phase="Failed", reason="Evicted", message="node was low on memory"), [], "failing", "Evicted: node", ""),
        (pod(phase="Succeeded"), [], "done", "", ""),
        (
            pod(
                phase="Running",
                conditions=[{"type": "Ready", "status": "True"}],
                containerStatuses=[container(RUNNING, ready=True, started=True)],
            ),
            [],
            "ready",
            "",
            "",
        ),
    ],
)
def test_explanations(body: Object, events: list[Object], phase: str, reason: str, hint: str) -> None:
    """Phase, reason and hint of every state that a pod of ours can hang in."""
    state = explain_pod(body, events)

    assert state.phase == phase
    assert reason in state.reason
    assert bool(state.reason) is bool(reason)
    assert hint in state.hint
    assert bool(state.hint) is bool(hint)


def test_what_a_pod_holds() -> None:
    """Node, component, GPUs of all containers, restarts."""
    state = explain_pod(pod(phase="Running", containerStatuses=[container(RUNNING)]))

    assert (state.name, state.component, state.node, state.gpus, state.restarts) == ("chat-1", "engine", "n1", 4, 2)


def test_a_pod_that_leaves() -> None:
    """Terminating is told as draining, whatever its containers do."""
    body = pod(phase="Running", containerStatuses=[container(RUNNING)])
    body["metadata"]["deletionTimestamp"] = "2026-11-01T08:00:00Z"

    assert explain_pod(body).phase == "leaving"


def test_pods_with_one_reason_are_one_line() -> None:
    """Eight pods that wait for the same are not eight lines."""
    pods = [explain_pod(unscheduled(NO_GPU)) for _ in range(8)] + [explain_pod(pod(phase="Pending"))]

    lines = explanations(pods)

    assert lines[0].startswith("8 pods: not scheduled: 0/5 nodes")
    assert lines[1] == "1 pod: Pending"
