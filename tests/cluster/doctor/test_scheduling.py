"""The scheduler's rules, against the cases of Kubernetes' own documentation."""

from typing import Any

import pytest

from flyball.cluster.doctor.promql_api import service_path
from flyball.cluster.doctor.reading import amount, meets
from flyball.cluster.doctor.scheduling import fits, free_on, label_mismatches, requests_of, untolerated

TAINT = {"key": "key1", "value": "value1", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("toleration", "is_tolerated"),
    [
        ({"key": "key1", "operator": "Equal", "value": "value1", "effect": "NoSchedule"}, True),
        ({"key": "key1", "value": "value1"}, True),
        ({"key": "key1", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "key1", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "key1", "operator": "Equal", "value": "value2"}, False),
        ({"key": "key2", "operator": "Exists"}, False),
    ],
)
def test_tolerations(toleration: dict[str, str], is_tolerated: bool) -> None:
    """Equal is the default; an empty key with Exists tolerates everything; an empty effect every effect."""
    assert list(untolerated([toleration], [TAINT])) == ([] if is_tolerated else ["key1=value1:NoSchedule"])


def test_preferred_taint_keeps_nothing_away() -> None:
    """PreferNoSchedule only ranks nodes."""
    assert not untolerated([], [{**TAINT, "effect": "PreferNoSchedule"}])


@pytest.mark.parametrize(
    ("operator", "values", "is_met"),
    [
        ("In", ["a", "b"], True),
        ("NotIn", ["a"], False),
        ("NotIn", ["c"], True),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
        ("Gt", ["1"], False),
    ],
)
def test_operators(operator: str, values: list[str], is_met: bool) -> None:
    """Of node affinity; Gt compares integers, and text is none."""
    assert meets({"key": "a"}, {"key": "key", "operator": operator, "values": values}) is is_met


@pytest.mark.parametrize(("driver", "is_met"), [("580", True), ("579", False), ("1000", True)])
def test_integers_are_compared_as_such(driver: str, is_met: bool) -> None:
    """Gt is no comparison of texts."""
    assert meets({"driver": driver}, {"key": "driver", "operator": "Gt", "values": ["579"]}) is is_met


def test_absent_label() -> None:
    """NotIn and DoesNotExist hold for a label that is not there."""
    assert meets({}, {"key": "spot", "operator": "NotIn", "values": ["true"]})
    assert meets({}, {"key": "spot", "operator": "DoesNotExist"})


def test_terms_are_alternatives() -> None:
    """One node selector term that holds is enough; where none does, the nearest one is told."""
    term = {"key": "gpu", "operator": "In", "values": ["L4"]}
    both = {"matchExpressions": [term, {"key": "zone", "operator": "Exists"}]}
    terms = {"nodeSelectorTerms": [both, {"matchExpressions": [{"key": "own", "operator": "Exists"}]}]}
    pod: dict[str, Any] = {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}

    assert not label_mismatches(pod, {"own": "yes"})
    assert not label_mismatches(pod, {"gpu": "L4", "zone": "a"})
    assert list(label_mismatches(pod, {"gpu": "T4", "zone": "a"})) == ["gpu is T4, not L4"]


def test_requests() -> None:
    """Containers add up, an init container counts if it is larger, and a limit alone is a request."""
    containers = [{"resources": {"requests": {"cpu": "1"}}}, {"resources": {"limits": {"cpu": "500m"}}}]
    first = {"resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}

    assert requests_of({"containers": containers, "initContainers": [first]}) == {"cpu": amount("1.5"), "memory": 2**30}


def test_room() -> None:
    """As many replicas as the scarcest resource allows, less what runs there."""
    node = {"metadata": {"name": "n"}, "status": {"allocatable": {"cpu": "16", "nvidia.com/gpu": "8"}}}
    busy = {"spec": {"nodeName": "n", "containers": [{"resources": {"requests": {"cpu": "5", "nvidia.com/gpu": "1"}}}]}}
    free = free_on([node], [busy])["n"]

    assert fits({"cpu": amount("4"), "nvidia.com/gpu": amount("1")}, free) == 2
    assert fits({"cpu": amount("1"), "nvidia.com/gpu": amount("4")}, free) == 1
    assert fits({"nvidia.com/gpu": amount("9")}, free) == 0


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("http://prom.metrics.svc:9090", "/api/v1/namespaces/metrics/services/prom:9090/proxy"),
        ("http://prom.metrics.svc.cluster.local:9090/", "/api/v1/namespaces/metrics/services/prom:9090/proxy"),
        ("https://thanos.metrics.svc/query", "/api/v1/namespaces/metrics/services/https:thanos:443/proxy/query"),
        ("http://prom", "/api/v1/namespaces/llm/services/prom:80/proxy"),
        ("http://prom.metrics:9090", "/api/v1/namespaces/metrics/services/prom:9090/proxy"),
        ("https://prometheus.example.com", None),
        ("http://10.0.0.7:9090", None),
        ("http://localhost:9090", None),
        ("nonsense", None),
    ],
)
def test_address_of_a_service(address: str, path: str | None) -> None:
    """A name inside the cluster goes through the API server's proxy, everything else is asked directly."""
    assert service_path(address, "llm") == path
