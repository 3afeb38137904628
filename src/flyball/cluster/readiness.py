"""Whether an applied object has become what it should be: from its status alone."""

from dataclasses import dataclass
from typing import Literal

from flyball.cluster.conditions import SCALED_TO_ZERO, condition, says, troubles
from flyball.cluster.objects import ObjectKey, PlainObject, dig, key_of

State = Literal["ready", "waiting", "failed"]
WAITED_FOR = frozenset({"Deployment", "Job", "ScaledObject", "HorizontalPodAutoscaler"})
"""Kinds with something to wait for. A claim is not one: many bind only when their first pod is scheduled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an object is, in a few words."""

    key: ObjectKey
    state: State
    text: str


def progress_of(body: PlainObject) -> Progress:
    """The state of a Deployment, a Job, a ScaledObject or an HPA; everything else is ready once it exists."""
    state, text = _progress(body)
    return Progress(key=key_of(body), state=state, text=text)


def _progress(body: PlainObject) -> tuple[State, str]:
    match body.get("kind"):
        case "Deployment":
            return _deployment(body)
        case "Job":
            return _job(body)
        case "ScaledObject":
            return _scaled_object(body)
        case "HorizontalPodAutoscaler":
            return _autoscaler(body)
    return "ready", ""


def _deployment(body: PlainObject) -> tuple[State, str]:
    """As `kubectl rollout status`: the new generation is seen, all pods are of it, none of the old is left."""
    wanted = int(dig(body, "spec", "replicas", default=1))
    status = body.get("status") or {}
    if int(status.get("observedGeneration", 0)) < int(dig(body, "metadata", "generation", default=0)):
        return "waiting", "not seen by its controller yet"
    progressing = condition(body, "Progressing")
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return "failed", f"gave up: {progressing.get('message', 'its progress deadline has passed')}"
    updated, available = int(status.get("updatedReplicas", 0)), int(status.get("availableReplicas", 0))
    old = int(status.get("replicas", 0)) - updated
    if updated >= wanted and available >= wanted and old <= 0:
        return "ready", f"{available} of {wanted} ready"
    leaving = f", {old} old ones to go" if old > 0 else ""
    return "waiting", f"{min(available, wanted)} of {wanted} ready, {updated} up to date{leaving}"


def _job(body: PlainObject) -> tuple[State, str]:
    failed = condition(body, "Failed")
    if failed.get("status") == "True":
        return "failed", f"{failed.get('reason', 'Failed')}: {failed.get('message', '')}".rstrip(": ")
    if condition(body, "Complete").get("status") == "True":
        return "ready", "complete"
    failures = int(dig(body, "status", "failed", default=0))
    return "waiting", f"running, {failures} attempts failed" if failures else "running"


def _scaled_object(body: PlainObject) -> tuple[State, str]:
    ready = condition(body, "Ready")
    if ready.get("status") == "True":
        return "ready", "ready"
    if ready.get("status") == "False":  # KEDA tries again: a Prometheus that is not there yet is no end
        return "waiting", f"{ready.get('reason', '')}: {ready.get('message', '')}".strip(": ")
    return "waiting", "not seen by KEDA yet"


def _autoscaler(body: PlainObject) -> tuple[State, str]:
    """Ready when it has read its metric; until then its target keeps the number of replicas that it has."""
    active = condition(body, "ScalingActive")
    if active.get("status") == "True" or active.get("reason") == SCALED_TO_ZERO:
        return "ready", "reads its metric"
    wrong = next(troubles(body), None)
    return "waiting", "not seen by its controller yet" if wrong is None else says(wrong)
