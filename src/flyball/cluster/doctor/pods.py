"""Are the Deployments there, do they have pods, and what is wrong with those that are not Ready?"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from flyball.cluster.doctor.expected import ExpectedService
from flyball.cluster.doctor.facts import ClusterFacts
from flyball.cluster.doctor.reading import condition, moment, name, named, place, rows, says, selects, table, text
from flyball.cluster.doctor.resource import DEPLOYMENTS, PODS
from flyball.cluster.doctor.service_pods import is_finished, is_leaving, is_ready_pod
from flyball.cluster.doctor.storage import last_event
from flyball.cluster.doctor.symptom import Checked, Symptom, broken, risky
from flyball.cluster.objects import PlainObject, dig, labels_of

_CREATING = timedelta(minutes=2)
"""Longer than a mount or a network takes; an image of 12 GB pulls for longer, and says so as an event."""
_FIXES = {
    "Unschedulable": "the links on nodes, placement and capacity say what is missing",
    "ErrImagePull": "check name, tag and digest of the image, and the pull secret of its registry",
    "ImagePullBackOff": "check name, tag and digest of the image, and the pull secret of its registry",
    "InvalidImageName": "correct the image's name",
    "CreateContainerConfigError": "create the Secret or ConfigMap that the message names",
    "CreateContainerError": "the message is the container runtime's",
    "RunContainerError": "the message is the container runtime's: a device, a mount or the command",
    "OOMKilled": "raise the memory limit: /dev/shm and pinned buffers count in it, and loading needs half the weights",
    "CrashLoopBackOff": "kubectl logs --previous shows the engine's last words",
    "Evicted": "the node ran out of memory or disk: an image of 12 GB needs 100Gi; request ephemeral-storage",
    "UnexpectedAdmissionError": "the kubelet could not give it a device: look at the device plugin on that node",
}


def check_deployed(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """Every rendered Deployment is in the cluster, and its controller can do what it is told."""
    wanted = expected.of("Deployment")
    symptoms = [symptom for each in wanted for symptom in _deployment_symptoms(facts, each)]
    return Checked(answer=", ".join(map(name, wanted)) or "nothing is rendered", symptoms=symptoms)


def _deployment_symptoms(facts: ClusterFacts, wanted: PlainObject) -> Iterator[Symptom]:
    live = named(facts.of(DEPLOYMENTS), name(wanted))
    if live is None:
        yield broken(place(wanted), asked="the Deployment", answered="not there", fix="`flyball apply` creates it")
        return
    failure = condition(live, "ReplicaFailure")
    if failure.get("status") == "True":
        fix = "the message is the API server's: a quota, an admission policy or Pod Security refuses the pod"
        yield broken(place(live), asked="condition ReplicaFailure", answered=f"True, {says(failure)}", fix=fix)
    progressing = condition(live, "Progressing")
    if progressing.get("status") == "False":
        fix = "the pods say why (below); a start longer than progressDeadlineSeconds is called a failure too"
        yield risky(place(live), asked="condition Progressing", answered=f"False, {says(progressing)}", fix=fix)
    if dig(live, "spec", "paused"):
        fix = f"kubectl rollout resume deployment {name(live)}"
        yield risky(place(live), asked="spec.paused", answered="true: changes are not rolled out", fix=fix)


def check_pods(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """The pods of each Deployment: enough of them Ready, and of each other one the reason."""
    answers: list[str] = []
    symptoms: list[Symptom] = []
    least = {engine.name: engine.least for engine in expected.engines}
    for workload in expected.of("Deployment"):
        selector = table(workload, "spec", "selector")
        pods = [pod for pod in facts.of(PODS) if selects(selector, labels_of(pod))]
        ready = sum(map(is_ready_pod, pods))
        wanted = least.get(name(workload), int(dig(workload, "spec", "replicas", default=1)))
        answers.append(f"{name(workload)} {ready} Ready of at least {wanted}")
        symptoms += _workload_symptoms(facts, workload, pods, enough=ready >= wanted)
    return Checked(answer=", ".join(answers), symptoms=symptoms)


def _workload_symptoms(
    facts: ClusterFacts, workload: PlainObject, pods: Sequence[PlainObject], *, enough: bool
) -> Iterator[Symptom]:
    symptom = risky if enough else broken
    if all(map(is_finished, pods)) and not enough:
        fix = "0 replicas are wanted? Otherwise the ReplicaSet's events say what refuses the pods"
        yield broken(place(workload), asked="its pods", answered="none", fix=fix)
    for pod in pods:
        trouble = _trouble(facts, pod)
        if trouble:
            reason, answered = trouble
            fix = _FIXES.get(reason, "kubectl describe pod, and its log")
            yield symptom(place(pod), asked="its state", answered=answered, fix=fix)
        elif not is_ready_pod(pod) and not is_finished(pod) and not is_leaving(pod):
            yield _loading(facts, pod)


def _trouble(facts: ClusterFacts, pod: PlainObject) -> tuple[str, str] | None:
    """(reason, in words); None if the pod is Ready, or on its way."""
    if text(pod, "status", "reason") in ("Evicted", "UnexpectedAdmissionError", "NodeAffinity"):
        return text(pod, "status", "reason"), says(table(pod, "status"))
    if is_leaving(pod):
        return _stuck_leaving(pod, facts.now)
    if is_finished(pod):
        return None
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return text(scheduled, "reason"), f"Pending, {says(scheduled)}"
    for each in (*rows(pod, "status", "initContainerStatuses"), *rows(pod, "status", "containerStatuses")):
        found = _container_trouble(each)
        if found:
            return found
    return _stuck_creating(facts, pod)


def _container_trouble(status: PlainObject) -> tuple[str, str] | None:
    waiting = table(status, "state", "waiting")
    reason = text(waiting, "reason")
    last = table(status, "lastState", "terminated") or table(status, "state", "terminated")
    ended = f"container {text(status, 'name')} ended with exit code {text(last, 'exitCode')}, {says(last)}"
    restarts = f"{text(status, 'restartCount') or 0} restarts"
    if last.get("reason") == "OOMKilled":
        return "OOMKilled", f"{ended}; {restarts}"
    if reason == "CrashLoopBackOff":
        return reason, f"{reason}: {ended}; {restarts}"
    if reason in _FIXES:
        return reason, f"container {text(status, 'name')}: {says(waiting)}"
    return None


def _stuck_creating(facts: ClusterFacts, pod: PlainObject) -> tuple[str, str] | None:
    waiting = [table(each, "state", "waiting") for each in rows(pod, "status", "containerStatuses")]
    since = moment(text(pod, "status", "startTime"))
    creating = any(each.get("reason") in ("ContainerCreating", "PodInitializing") for each in waiting)
    if creating and since is not None and facts.now - since > _CREATING:
        event = last_event(facts, "Pod", name(pod))
        if event:
            return "ContainerCreating", f"ContainerCreating for {_seconds(facts.now - since)}: {event}"
    return None


def _stuck_leaving(pod: PlainObject, now: datetime) -> tuple[str, str] | None:
    due = moment(text(pod, "metadata", "deletionTimestamp"))  # it includes the grace period
    if due is None or now - due < timedelta(minutes=1):
        return None
    held = ", ".join(map(str, rows(pod, "metadata", "finalizers"))) or "its node does not answer"
    return "Terminating", f"Terminating {_seconds(now - due)} beyond its grace period: {held}"


def _loading(facts: ClusterFacts, pod: PlainObject) -> Symptom:
    """Started and not Ready yet: within the budget of its startup probe, or beyond."""
    budget = timedelta(seconds=max((_budget_s(each) for each in rows(pod, "spec", "containers")), default=0))
    since = moment(text(pod, "status", "startTime"))
    age = timedelta(0) if since is None else facts.now - since
    asked = "condition Ready"
    if any(int(text(each, "restartCount") or 0) for each in rows(pod, "status", "containerStatuses")):
        event = last_event(facts, "Pod", name(pod)) or "kubectl logs --previous shows why"
        fix = f"a start longer than the startup probe allows ({_seconds(budget)}) is killed: raise failureThreshold"
        return broken(place(pod), asked=asked, answered=f"not yet, after restarts: {event}", fix=fix)
    fix = f"wait: the startup probe allows {_seconds(budget)}" if budget else "wait"
    return risky(place(pod), asked=asked, answered=f"loading for {_seconds(age)}", fix=fix)


def _budget_s(container: PlainObject) -> float:
    probe = table(container, "startupProbe")
    return float(probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3)) if probe else 0.0


def _seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():.0f} s"
