"""Can a node be drained without a deadlock, and without taking every replica at once?"""

import math
from collections.abc import Iterator, Sequence

from flyball.cluster.doctor.expected import EngineWorkload, ExpectedService
from flyball.cluster.doctor.facts import ClusterFacts
from flyball.cluster.doctor.reading import name, place, selects, table, text
from flyball.cluster.doctor.resource import BUDGETS, NODE_POOLS, NODES, PODS
from flyball.cluster.doctor.scheduling import is_cordoned
from flyball.cluster.doctor.service_pods import pods_of
from flyball.cluster.doctor.symptom import Checked, Symptom, broken, risky
from flyball.cluster.objects import PlainObject, dig, labels_of

_DO_NOT_DISRUPT = "karpenter.sh/do-not-disrupt"


def check_disruption(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """The PodDisruptionBudgets of each engine workload as they stand, and nodes that are being drained."""
    symptoms: list[Symptom] = []
    answers = []
    for engine in expected.engines:
        budgets = _budgets_of(engine, facts)
        symptoms += [*_budget_symptoms(engine, expected, budgets), *_drain_symptoms(facts, engine, budgets)]
        allowed = min((int(text(each, "status", "disruptionsAllowed") or 0) for each in budgets), default=None)
        answers.append(f"{engine.name} {'has no budget' if allowed is None else f'may lose {allowed} now'}")
    return Checked(answer="; ".join(answers) or "no engine", symptoms=list(dict.fromkeys(symptoms)))


def _budgets_of(engine: EngineWorkload, facts: ClusterFacts) -> Sequence[PlainObject]:
    return [each for each in facts.of(BUDGETS) if _covers(each, engine)]


def _covers(budget: PlainObject, engine: EngineWorkload) -> bool:
    return selects(table(budget, "spec", "selector"), table(engine.object, "spec", "template", "metadata", "labels"))


def _budget_symptoms(
    engine: EngineWorkload, expected: ExpectedService, budgets: Sequence[PlainObject]
) -> Iterator[Symptom]:
    if len(budgets) > 1:
        names = ", ".join(map(place, budgets))
        fix = "keep one: the API server refuses every eviction of a pod with two (500)"
        yield broken(place(engine.object), asked="one PodDisruptionBudget", answered=names, fix=fix)
    if not budgets and engine.least > 1:
        fix = "a PodDisruptionBudget with maxUnavailable: 1 and unhealthyPodEvictionPolicy: AlwaysAllow"
        answered = "none: a drain may evict every replica at once"
        yield risky(place(engine.object), asked="a PodDisruptionBudget", answered=answered, fix=fix)
    for budget in budgets:
        covered = sum(each.least for each in expected.engines if _covers(budget, each))
        reason = _never(budget, max(covered, 1))
        if reason:
            fix = "maxUnavailable: 1, and a minimum of 2 replicas where one alone must not go"
            asked = "an eviction with the minimum of replicas"
            yield broken(place(budget), asked=asked, answered=f"never allowed: {reason}", fix=fix)
        if text(budget, "spec", "unhealthyPodEvictionPolicy") != "AlwaysAllow":
            answered = text(budget, "spec", "unhealthyPodEvictionPolicy") or "IfHealthyBudget, the default"
            fix = "AlwaysAllow: otherwise a pod that is still loading blocks the drain of its node"
            yield risky(place(budget), asked="unhealthyPodEvictionPolicy", answered=answered, fix=fix)


def _never(budget: PlainObject, replicas: int) -> str:
    """Why a budget forbids every eviction of so many healthy pods; empty if it does not."""
    most, least = dig(budget, "spec", "maxUnavailable"), dig(budget, "spec", "minAvailable")
    if most is not None and str(most).rstrip("%") == "0":
        return f"maxUnavailable {most}"
    if least is not None and _pods(least, replicas) >= replicas:
        return f"minAvailable {least} of {replicas}"
    return ""


def _pods(value: int | str, replicas: int) -> int:
    """A number of pods, or a percentage of them rounded up, as the disruption controller does."""
    share = str(value)
    return math.ceil(replicas * int(share[:-1]) / 100) if share.endswith("%") else int(value)


def _drain_symptoms(facts: ClusterFacts, engine: EngineWorkload, budgets: Sequence[PlainObject]) -> Iterator[Symptom]:
    draining = {name(node) for node in facts.of(NODES) if is_cordoned(node)}
    stuck = [pod for pod in pods_of(engine, facts.of(PODS)) if text(pod, "spec", "nodeName") in draining]
    blocking = [each for each in budgets if not int(text(each, "status", "disruptionsAllowed") or 0)]
    for pod in stuck if blocking else ():
        healthy, wanted = (text(blocking[0], "status", key) for key in ("currentHealthy", "desiredHealthy"))
        answered = f"{place(blocking[0])} allows none now ({healthy} healthy, {wanted} needed)"
        fix = "let a replica more become Ready on another node; then the drain goes on by itself"
        asked = f"eviction from {text(pod, 'spec', 'nodeName')}, which takes no new pods"
        yield risky(place(pod), asked=asked, answered=answered, fix=fix)
    annotations = table(engine.object, "spec", "template", "metadata", "annotations")
    if annotations.get(_DO_NOT_DISRUPT) == "true":
        for pool in facts.of(NODE_POOLS):
            if not text(pool, "spec", "template", "spec", "terminationGracePeriod") and _serves(pool, engine):
                answered = f"none, and the pods say {_DO_NOT_DISRUPT}: an expired node waits for them for ever"
                fix = "terminationGracePeriod: 30m in the pool's template, longer than the pods' own"
                yield risky(place(pool), asked="terminationGracePeriod", answered=answered, fix=fix)


def _serves(pool: PlainObject, engine: EngineWorkload) -> bool:
    """Whether the labels of a pool's nodes do not contradict the engine's node selector."""
    has = labels_of(table(pool, "spec", "template"))
    return all(has.get(key, value) == value for key, value in table(engine.pod, "nodeSelector").items())
