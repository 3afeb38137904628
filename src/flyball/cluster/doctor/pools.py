"""What adds nodes: Karpenter's pools, in the cluster or still to be applied, and the cluster autoscaler."""

import math
from collections.abc import Iterator, Mapping, Sequence

from flyball.cluster.conditions import condition, says
from flyball.cluster.doctor.expected import EngineWorkload, ExpectedService
from flyball.cluster.doctor.facts import ClusterFacts
from flyball.cluster.doctor.reading import amount, name, place, rows, table, text
from flyball.cluster.doctor.resource import NODE_POOLS
from flyball.cluster.doctor.scheduling import differs, required_terms, untolerated
from flyball.cluster.doctor.symptom import Symptom, risky
from flyball.cluster.objects import PlainObject, labels_of


def node_pools(facts: ClusterFacts, expected: ExpectedService) -> Sequence[PlainObject]:
    """Karpenter's pools, and those that `flyball apply` would make."""
    there = {name(pool) for pool in facts.of(NODE_POOLS)}
    return [*facts.of(NODE_POOLS), *(pool for pool in expected.of("NodePool") if name(pool) not in there)]


def may_grow(facts: ClusterFacts, expected: ExpectedService) -> str:
    """What may add nodes to the cluster, in words; empty if nothing does."""
    pools = node_pools(facts, expected)
    if pools:
        return f"Karpenter with {', '.join(map(name, pools))}"
    if facts.has_cluster_autoscaler:
        return "the cluster autoscaler"
    return "node pools, which this user may not list" if NODE_POOLS in facts.unread else ""


def pool_obstacles(engine: EngineWorkload, pool: PlainObject) -> Sequence[str]:
    """What a pool's nodes would have that keeps the engine away.

    Labels that neither the pool's template nor its requirements name come from the machine, and are not judged.
    """
    template = table(pool, "spec", "template")
    taints = untolerated(rows(engine.pod, "tolerations"), rows(template, "spec", "taints"))
    has = _possible_labels(template)
    alternatives = [list(_contradictions(has, term)) for term in required_terms(engine.pod)]
    found = [f"taint {taint}" for taint in taints]
    if alternatives and all(alternatives):
        found += sorted(alternatives, key=len)[0]
    return found


def _possible_labels(template: PlainObject) -> Mapping[str, Sequence[str]]:
    fixed = {key: [value] for key, value in labels_of(template).items()}
    required = {
        text(each, "key"): [str(value) for value in rows(each, "values")]
        for each in rows(template, "spec", "requirements")
        if each.get("operator") == "In"
    }
    return {**fixed, **required}


def _contradictions(has: Mapping[str, Sequence[str]], term: Sequence[PlainObject]) -> Iterator[str]:
    for expression in term:
        key, operator = text(expression, "key"), text(expression, "operator")
        values = {str(value) for value in rows(expression, "values")}
        possible = set(has.get(key, ()))
        left = {"In": possible & values, "NotIn": possible - values, "DoesNotExist": set()}.get(operator, possible)
        if possible and not left:
            yield differs(" or ".join(sorted(possible)), expression)


def gpus_left(pool: PlainObject, resource: str) -> float:
    """GPUs that a pool may still add; infinite if it has no limit on them, 0 if it cannot add a node."""
    limits, used = table(pool, "spec", "limits"), table(pool, "status", "resources")
    if condition(pool, "Ready").get("status") == "False":
        return 0.0
    return (
        math.inf if resource not in limits else max(0.0, float(amount(limits[resource]) - amount(used.get(resource))))
    )


def pool_symptoms(pool: PlainObject, resource: str) -> Iterator[Symptom]:
    ready = condition(pool, "Ready")
    if ready.get("status") == "False":
        fix = "repair the pool's node class: it adds no node as it is"
        yield risky(place(pool), asked="condition Ready", answered=f"False, {says(ready)}", fix=fix)
    elif gpus_left(pool, resource) == 0:
        used, limit = text(pool, "status", "resources", resource), text(pool, "spec", "limits", resource)
        fix = f"raise spec.limits of {resource}"
        yield risky(place(pool), asked="GPUs left under its limit", answered=f"0: {used} of {limit} are used", fix=fix)
