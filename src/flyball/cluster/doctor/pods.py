"""Are the Deployments there, do they have pods, and what is wrong with those that are not Ready?"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from flyball.cluster.conditions import condition, says
from flyball.cluster.doctor.events import events_of
from flyball.cluster.doctor.expected import ExpectedService
from flyball.cluster.doctor.facts import ClusterFacts
from flyball.cluster.doctor.reading import moment, name, named, place, rows, selects, table, text
from flyball.cluster.doctor.resource import DEPLOYMENTS, PODS
from flyball.cluster.doctor.service_pods import is_finished, is_ready_pod
from flyball.cluster.doctor.symptom import Checked, Symptom, broken, risky
from flyball.cluster.objects import PlainObject, dig, labels_of
from flyball.cluster.pod_state import PodState, explain_pod


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
    if all(map(is_finished, pods)) and not enough:
        fix = "0 replicas are wanted? Otherwise the ReplicaSet's events say what refuses the pods"
        yield broken(place(workload), asked="its pods", answered="none", fix=fix)
    for pod in pods:
        state = explain_pod(pod, events_of(facts, "Pod", name(pod)))
        match state.phase:
            case "leaving":
                yield from _leaving(pod, facts.now)
            case "failing" | "pending":
                is_coming = enough or is_finished(pod) or state.reason.startswith("waits for a node")
                fix = state.hint or "kubectl describe pod, and its log"
                yield (risky if is_coming else broken)(place(pod), asked="its state", answered=state.reason, fix=fix)
            case "starting":
                yield _loading(pod, state, facts.now, enough=enough)


def _leaving(pod: PlainObject, now: datetime) -> Iterator[Symptom]:
    due = moment(text(pod, "metadata", "deletionTimestamp"))  # it includes the grace period
    if due is not None and now - due > timedelta(minutes=1):
        held = ", ".join(map(str, rows(pod, "metadata", "finalizers"))) or "its node does not answer"
        answered = f"terminating, {_seconds(now - due)} beyond its grace period: {held}"
        fix = "a node that is gone for good has to be deleted, or its pods by force"
        yield risky(place(pod), asked="its state", answered=answered, fix=fix)


def _loading(pod: PlainObject, state: PodState, now: datetime, *, enough: bool) -> Symptom:
    """Started and not Ready yet: within the budget of its startup probe, or killed by it before."""
    budget = timedelta(seconds=max((_budget_s(each) for each in rows(pod, "spec", "containers")), default=0))
    since = moment(text(pod, "status", "startTime"))
    if state.restarts:
        fix = f"a start longer than the startup probe allows ({_seconds(budget)}) is killed: raise failureThreshold"
        answered = f"{state.reason}, after {state.restarts} restart{'' if state.restarts == 1 else 's'}"
        symptom = risky if enough else broken
        return symptom(place(pod), asked="condition Ready", answered=answered, fix=fix)
    age = "" if since is None else f", since {_seconds(now - since)}"
    fix = f"wait: the startup probe allows {_seconds(budget)}" if budget else "wait"
    return risky(place(pod), asked="condition Ready", answered=f"{state.reason}{age}", fix=fix)


def _budget_s(container: PlainObject) -> float:
    probe = table(container, "startupProbe")
    return float(probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3)) if probe else 0.0


def _seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():.0f} s"
