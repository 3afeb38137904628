"""Where the scheduler may put a pod: node labels, taints, and what is free on a node."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from flyball.cluster.conditions import condition
from flyball.cluster.doctor.reading import amount, meets, name, rows, table, text
from flyball.cluster.objects import PlainObject

_BLOCKS = ("NoSchedule", "NoExecute")


def is_ready(node: PlainObject) -> bool:
    return condition(node, "Ready").get("status") == "True"


def is_cordoned(node: PlainObject) -> bool:
    return bool(table(node, "spec").get("unschedulable"))


def required_terms(pod: PlainObject) -> Sequence[Sequence[PlainObject]]:
    """What a pod requires of its node's labels: alternatives, each a list of expressions that must all hold."""
    selector = [{"key": key, "operator": "In", "values": [value]} for key, value in table(pod, "nodeSelector").items()]
    affinity = table(pod, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    terms = [rows(term, "matchExpressions") for term in rows(affinity, "nodeSelectorTerms")] or [[]]
    return [[*selector, *term] for term in terms]


def label_mismatches(pod: PlainObject, present: Mapping[str, str]) -> Sequence[str]:
    """Each required node label that is not there, as `nvidia.com/gpu.product is NVIDIA-L4, not NVIDIA-A10G`.

    Of several alternatives, those of the nearest one.
    """
    alternatives = [list(_unmet(present, term)) for term in required_terms(pod)]
    return [] if not all(alternatives) else sorted(alternatives, key=len)[0]


def _unmet(present: Mapping[str, str], term: Sequence[PlainObject]) -> Iterator[str]:
    for expression in term:
        if not meets(present, expression):
            yield differs(present.get(text(expression, "key"), "missing"), expression)


def differs(there: str, expression: PlainObject) -> str:
    """What stands in a label against what an expression wants, in words."""
    key, operator = text(expression, "key"), text(expression, "operator")
    values = [str(each) for each in rows(expression, "values")]
    if operator == "In":
        return f"{key} is {there}, not {' or '.join(values)}"
    return f"{key} is {there}, wanted: {operator} {', '.join(values)}".rstrip()


def untolerated(tolerations: Sequence[PlainObject], taints: Sequence[PlainObject]) -> Sequence[str]:
    """The taints that keep the pod away, as `key=value:effect`. A PreferNoSchedule taint keeps nothing away."""
    return [
        _taint(taint)
        for taint in taints
        if taint.get("effect") in _BLOCKS and not any(_tolerates(each, taint) for each in tolerations)
    ]


def _tolerates(toleration: PlainObject, taint: PlainObject) -> bool:
    key, effect = text(toleration, "key"), text(toleration, "effect")
    if effect not in ("", taint.get("effect")):
        return False
    if toleration.get("operator") == "Exists":
        return key in ("", taint.get("key"))
    return key == taint.get("key") and text(toleration, "value") == text(taint, "value")


def _taint(taint: PlainObject) -> str:
    value = f"={text(taint, 'value')}" if taint.get("value") else ""
    return f"{text(taint, 'key')}{value}:{text(taint, 'effect')}"


_TRANSIENT = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/", "karpenter.sh/unregistered")
"""Taints that the node's own state sets and lifts; the Ready condition and the cordon tell of them."""


def lasting_taints(node: PlainObject) -> Sequence[PlainObject]:
    return [each for each in rows(node, "spec", "taints") if not text(each, "key").startswith(_TRANSIENT)]


def requests_of(pod: PlainObject) -> Mapping[str, Fraction]:
    """What a pod's spec asks for by resource: its containers together, or the largest init container."""
    total: dict[str, Fraction] = defaultdict(Fraction)
    for each in rows(pod, "containers"):
        for resource, value in _asked(each).items():
            total[resource] += value
    for each in rows(pod, "initContainers"):
        for resource, value in _asked(each).items():
            total[resource] = max(total[resource], value)
    return total


def _asked(container: PlainObject) -> Mapping[str, Fraction]:
    """Requests; a limit without a request is one."""
    resources = {**table(container, "resources", "limits"), **table(container, "resources", "requests")}
    return {key: amount(value) for key, value in resources.items()}


def free_on(nodes: Sequence[PlainObject], pods: Sequence[PlainObject]) -> Mapping[str, Mapping[str, Fraction]]:
    """By node: allocatable less what the unfinished pods there ask for."""
    free = {
        name(node): {key: amount(value) for key, value in table(node, "status", "allocatable").items()}
        for node in nodes
    }
    for pod in pods:
        here = free.get(text(pod, "spec", "nodeName"))
        if here is None or text(pod, "status", "phase") in ("Succeeded", "Failed"):
            continue
        for resource, value in requests_of(table(pod, "spec")).items():
            here[resource] = here.get(resource, Fraction(0)) - value
    return free


def fits(wanted: Mapping[str, Fraction], free: Mapping[str, Fraction]) -> int:
    """How many pods with those requests fit into what is free; resources that nobody states do not limit."""
    counts = [int(free.get(resource, Fraction(0)) // value) for resource, value in wanted.items() if value > 0]
    return max(0, min(counts, default=0))
