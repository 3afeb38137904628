"""The pods of a service on the live cluster."""

from collections.abc import Sequence

from flyball.cluster.conditions import condition
from flyball.cluster.doctor.expected import EngineWorkload, ExpectedService
from flyball.cluster.doctor.facts import ClusterFacts
from flyball.cluster.doctor.reading import selects, text
from flyball.cluster.doctor.resource import PODS
from flyball.cluster.objects import PlainObject, labels_of


def is_finished(pod: PlainObject) -> bool:
    return text(pod, "status", "phase") in ("Succeeded", "Failed")


def is_leaving(pod: PlainObject) -> bool:
    return bool(text(pod, "metadata", "deletionTimestamp"))


def is_ready_pod(pod: PlainObject) -> bool:
    return condition(pod, "Ready").get("status") == "True" and not is_leaving(pod)


def pods_of(engine: EngineWorkload, pods: Sequence[PlainObject]) -> Sequence[PlainObject]:
    """The unfinished pods that a workload's selector matches."""
    return [pod for pod in pods if selects(engine.selector, labels_of(pod)) and not is_finished(pod)]


def ready_engines(facts: ClusterFacts, expected: ExpectedService) -> Sequence[PlainObject]:
    """The engine pods that serve, of all workloads."""
    found = (pod for engine in expected.engines for pod in pods_of(engine, facts.of(PODS)))
    return [pod for pod in found if is_ready_pod(pod)]
