"""Why a pod is not ready, in one line, from the pod and its events: what `kubectl describe` makes one search for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from flyball.cluster.conditions import condition
from flyball.cluster.objects import PlainObject, dig

GPU = "nvidia.com/gpu"
Phase = Literal["ready", "starting", "pending", "failing", "leaving", "done"]

# (what the scheduler's message contains, what can be done about it)
_SCHEDULING = (
    (f"Insufficient {GPU}", "no free GPU: add GPU nodes, wait for the node autoscaler, or ask for fewer replicas"),
    ("untolerated taint", "the pods lack a toleration for the nodes' taint"),
    ("didn't match Pod's node affinity", "no node carries the labels that the pods ask for"),
    ("unbound immediate PersistentVolumeClaims", "the volume claim is not bound: check its storage class"),
    ("volume node affinity conflict", "the volume is in another zone than the free nodes"),
    ("Insufficient memory", "no node has that much free memory"),
    ("Insufficient cpu", "no node has that much free CPU"),
)
_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_CONFIG = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_NODE_COMES = ("TriggeredScaleUp", "Nominated")  # cluster-autoscaler, Karpenter
_NO_NODE_COMES = ("NotTriggerScaleUp", "FailedScheduling")
_VOLUME = ("FailedMount", "FailedAttachVolume")


@dataclass(frozen=True, slots=True, kw_only=True)
class PodState:
    """One pod as a line of the status screen."""

    name: str
    component: str
    node: str
    gpus: int
    phase: Phase
    restarts: int
    reason: str = ""
    """Why it is not ready; the cluster's own words where it has some."""
    hint: str = ""


def explain_pod(pod: PlainObject, events: Sequence[PlainObject] = ()) -> PodState:
    """The pod's state. `events` are those of this pod, oldest first."""
    phase, reason, hint = _explain(pod, events)
    statuses = _containers(pod)
    return PodState(
        name=str(dig(pod, "metadata", "name", default="")),
        component=str(dig(pod, "metadata", "labels", "app.kubernetes.io/component", default="")),
        node=str(dig(pod, "spec", "nodeName", default="")),
        gpus=gpus_of(pod),
        phase=phase,
        restarts=sum(int(status.get("restartCount", 0)) for status in statuses),
        reason=" ".join(reason.split()),
        hint=hint,
    )


def gpus_of(pod: PlainObject) -> int:
    """The GPUs that the pod's containers ask for; of an extended resource, the limit is the request."""
    limits = (dig(each, "resources", "limits", GPU, default=0) for each in dig(pod, "spec", "containers", default=()))
    return sum(int(limit) for limit in limits)


def _explain(pod: PlainObject, events: Sequence[PlainObject]) -> tuple[Phase, str, str]:
    phase = str(dig(pod, "status", "phase", default="Pending"))
    if dig(pod, "metadata", "deletionTimestamp") is not None:
        return "leaving", "terminating: running requests may finish within the grace period", ""
    if phase == "Succeeded":
        return "done", "", ""
    if phase == "Failed":
        reason = f"{dig(pod, 'status', 'reason', default='Failed')}: {dig(pod, 'status', 'message', default='')}"
        return "failing", reason.rstrip(": "), ""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return _unscheduled(str(scheduled.get("message", "")), events)
    for status in _containers(pod):
        waiting = dig(status, "state", "waiting")
        if waiting is not None and waiting.get("reason") not in ("PodInitializing", None):
            return _waiting(status, waiting, events)
    if condition(pod, "Ready").get("status") == "True":
        return "ready", "", ""
    for status in dig(pod, "status", "initContainerStatuses", default=()):
        if dig(status, "state", "running") is not None and not status.get("started", False):
            return "starting", f"init container {status.get('name')} is running", ""
    if phase == "Pending" and not dig(pod, "spec", "nodeName"):
        return _unscheduled("", events)
    return _unready(pod, events)


def _unscheduled(message: str, events: Sequence[PlainObject]) -> tuple[Phase, str, str]:
    hint = next((advice for words, advice in _SCHEDULING if words in message), "")
    coming = _last(events, _NODE_COMES)
    refused = _last(events, _NO_NODE_COMES)
    if coming is not None and (refused is None or refused.get("reason") == "FailedScheduling"):
        return "pending", f"waits for a node: {coming.get('message', '')}", ""
    if refused is not None and refused.get("reason") == "NotTriggerScaleUp":
        message += f"; the node autoscaler: {refused.get('message', '')}"
    return "pending", f"not scheduled: {message}" if message else "not scheduled yet", hint


def _waiting(
    status: Mapping[str, Any], waiting: Mapping[str, Any], events: Sequence[PlainObject]
) -> tuple[Phase, str, str]:
    name, reason = str(status.get("name", "")), str(waiting.get("reason", ""))
    message = str(waiting.get("message", ""))
    if reason in _IMAGE:
        failed = _last(events, ("Failed",))
        detail = str((failed or {}).get("message") or message)
        return "failing", f"{name}: {reason}: {detail}", "check the image's name, tag and digest, and the pull secret"
    if reason == "CrashLoopBackOff":
        ended = dig(status, "lastState", "terminated", default={})
        hint = "more memory is needed" if ended.get("reason") == "OOMKilled" else "`kubectl logs --previous` says why"
        code = f"exit code {ended.get('exitCode', '?')}"
        return "failing", f"{name}: crashes again and again, last {ended.get('reason', 'Error')} ({code})", hint
    if reason in _CONFIG:
        return "failing", f"{name}: {reason}: {message}", "a Secret or ConfigMap that the container reads is missing"
    volume, pulling = _last(events, _VOLUME), _last(events, ("Pulling",))
    if volume is not None:
        return "pending", f"{name}: {volume.get('reason')}: {volume.get('message', '')}", "check the volume claim"
    if pulling is not None and _last(events, ("Pulled",)) is None:
        return "starting", f"{name}: {pulling.get('message', 'pulling its image')}", ""
    return "starting", f"{name}: {reason}", ""


def _unready(pod: PlainObject, events: Sequence[PlainObject]) -> tuple[Phase, str, str]:
    statuses = dig(pod, "status", "containerStatuses", default=())
    late = [status for status in statuses if not status.get("ready")]
    unhealthy = _last(events, ("Unhealthy",))
    said = f": {unhealthy.get('message', '')}" if unhealthy is not None else ""
    if not late:
        return "starting", f"{dig(pod, 'status', 'phase', default='Pending')}{said}", ""
    name = late[0].get("name", "")
    if not late[0].get("started", False):
        return "starting", f"{name}: starts, its startup probe has not passed yet{said}", ""
    return "failing", f"{name}: runs, but its readiness probe fails{said}", ""


def _containers(pod: PlainObject) -> list[Mapping[str, Any]]:
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _last(events: Sequence[PlainObject], reasons: Sequence[str]) -> PlainObject | None:
    return next((event for event in reversed(events) if event.get("reason") in reasons), None)
