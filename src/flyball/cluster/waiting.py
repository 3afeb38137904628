"""Waits until applied objects are ready, and says what it waits for, in the cluster's own words."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from flyball.cluster.api_server import ApiServer
from flyball.cluster.objects import ObjectKey, PlainObject, dig, key_of
from flyball.cluster.pod_state import PodState, explain_pod
from flyball.cluster.readiness import WAITED_FOR, Progress, progress_of

Tell = Callable[[str], None]
"""Prints one line of progress."""
# A pod's trouble is an event of the pod, not a change of its Deployment: look again this often.
_LOOK_AGAIN_S = 5


@dataclass(slots=True)
class Patience:
    """How long to wait in all, over several waits."""

    timeout_s: float
    clock: Callable[[], float] = time.monotonic
    _end: float = field(init=False)

    def __post_init__(self) -> None:
        self._end = self.clock() + self.timeout_s

    @property
    def left_s(self) -> float:
        return max(0.0, self._end - self.clock())


def wait_until_ready(
    api: ApiServer, keys: Iterable[ObjectKey], *, patience: Patience, tell: Tell
) -> tuple[Progress, ...]:
    """The objects that are not ready when patience ends or one of them has failed; empty if all are.

    An object that vanishes while it is waited for counts as failed.
    """
    pending = [key for key in keys if key.kind in WAITED_FOR]
    said: dict[ObjectKey, tuple[str, ...]] = {}
    while pending:
        bodies = {key: api.get(key) for key in pending}
        states = [_progress(key, body) for key, body in bodies.items()]
        for progress in states:
            body = bodies[progress.key]
            if progress.state == "ready" and progress.key not in said:
                continue  # it was ready when we came: no news
            reasons = () if progress.state == "ready" or body is None else explanations(pods_of(api, body))
            lines = (f"{progress.key}: {progress.text}", *(f"  {reason}" for reason in reasons))
            if said.get(progress.key) != lines:
                said[progress.key] = lines
                for line in lines:
                    tell(line)
        unready = tuple(progress for progress in states if progress.state != "ready")
        if not patience.left_s or any(progress.state == "failed" for progress in unready):
            return unready
        pending = [progress.key for progress in unready]
        if pending:
            _await_change(api, pending[0], bodies[pending[0]], patience)
    return ()


def wait_until_gone(
    api: ApiServer, keys: Iterable[ObjectKey], *, patience: Patience, tell: Tell
) -> tuple[ObjectKey, ...]:
    """The objects that are still there when patience ends."""
    pending, said = list(keys), 0
    while pending:
        bodies = {key: api.get(key) for key in pending}
        pending = [key for key in pending if bodies[key] is not None]
        if not pending or not patience.left_s:
            break
        if len(pending) != said:
            said = len(pending)
            tell(f"waiting for {', '.join(map(str, pending[:3]))}{' and others' if said > 3 else ''} to end")
        _await_change(api, pending[0], bodies[pending[0]], patience)
    return tuple(pending)


def pods_of(api: ApiServer, owner: PlainObject) -> list[PodState]:
    """The pods of a Deployment or a Job, explained."""
    key = key_of(owner)
    labels = dig(owner, "spec", "selector", "matchLabels", default={})
    if key.kind == "Job" and not labels:
        labels = {"batch.kubernetes.io/job-name": key.name}
    if key.kind not in ("Deployment", "Job"):
        return []
    selector = ",".join(f"{name}={value}" for name, value in labels.items())
    return [explain(api, pod) for pod in api.list("v1", "Pod", namespace=key.namespace, labels=selector)]


def explain(api: ApiServer, pod: PlainObject) -> PodState:
    """The pod's state; its events are asked for only where they can say more."""
    state = explain_pod(pod)
    if state.phase in ("ready", "done"):
        return state
    key = key_of(pod)
    fields = f"involvedObject.kind=Pod,involvedObject.name={key.name}"
    events = api.list("v1", "Event", namespace=key.namespace, fields=fields)
    return explain_pod(pod, sorted(events, key=event_time))


def event_time(event: PlainObject) -> str:
    """When an event happened last; RFC 3339 in UTC sorts as text."""
    stamps = (dig(event, "series", "lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return str(next((stamp for stamp in stamps if stamp), dig(event, "metadata", "creationTimestamp", default="")))


def explanations(pods: Iterable[PodState]) -> tuple[str, ...]:
    """One line a reason, with the number of pods that it holds."""
    counts: dict[tuple[str, str], int] = {}
    for pod in pods:
        if pod.reason and pod.phase not in ("ready", "done"):
            counts[pod.reason, pod.hint] = counts.get((pod.reason, pod.hint), 0) + 1
    return tuple(
        f"{count} {'pod' if count == 1 else 'pods'}: {reason}{f' ({hint})' if hint else ''}"
        for (reason, hint), count in counts.items()
    )


def _progress(key: ObjectKey, body: PlainObject | None) -> Progress:
    return Progress(key=key, state="failed", text="was deleted meanwhile") if body is None else progress_of(body)


def _await_change(api: ApiServer, key: ObjectKey, body: PlainObject | None, patience: Patience) -> None:
    """Until the object changes, or it is time to look again."""
    since = str(dig(body or {}, "metadata", "resourceVersion", default=""))
    seconds = max(1, min(_LOOK_AGAIN_S, round(patience.left_s)))
    changes = api.watch(
        key.api_version, key.kind, namespace=key.namespace, name=key.name, since=since, timeout_s=seconds
    )
    next(changes, None)
    changes.close()
