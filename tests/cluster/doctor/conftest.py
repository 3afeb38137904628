"""The sound cluster behind the API server of the tests, and Prometheus behind that."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_apiserver import FakeApiServer
from fake_apiserver_controllers import scale
from fake_apiserver_kinds import Kind
from fake_prometheus import QUERY, TARGETS, FakePrometheus
from sound_cluster import DATA, Bench

PROMETHEUS = Kind(
    group="monitoring.coreos.com", versions=("v1",), kind="Prometheus", plural="prometheuses", is_namespaced=True
)
PROXY = "/api/v1/namespaces/monitoring/services/prometheus-operated:9090/proxy"
METRIC = "/apis/external.metrics.k8s.io/v1beta1/namespaces/llm/s0-prometheus"
METRIC_VALUES = {
    "kind": "ExternalMetricValueList",
    "items": [{"metricName": "s0-prometheus", "metricLabels": None, "timestamp": "2026-11-24T12:00:00Z", "value": "7"}],
}


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def prometheus(bench: Bench) -> FakePrometheus:
    """Prometheus as the sound cluster has it; it is on no port of its own unless a test enters it."""
    return FakePrometheus(bench.prometheus_answers(bench.expected()), bench.targets or ())


@pytest.fixture
def cluster(bench: Bench, prometheus: FakePrometheus) -> Iterator[FakeApiServer]:
    """The sound cluster."""
    with FakeApiServer(kinds=(PROMETHEUS,)) as server:
        for namespace in ("llm", "monitoring", "gpu-operator", "keda"):
            server.store.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        for each in bench.live:
            _put(server, each)
        operated = {"name": "prometheus-operated", "namespace": "monitoring"}
        server.store.put(
            {"apiVersion": "v1", "kind": "Service", "metadata": operated, "spec": {"ports": [{"port": 9090}]}}
        )
        server.raw |= {
            f"{PROXY}{QUERY}": prometheus.query,
            f"{PROXY}{TARGETS}": prometheus.active_targets,
            METRIC: METRIC_VALUES,
        }
        yield server


def _put(server: FakeApiServer, body: dict[str, Any]) -> None:
    if body["kind"] != "Deployment":
        server.store.put(body)
        return
    replicas = body["spec"].pop("replicas")
    body["metadata"].pop("managedFields", None)
    server.store.put(body, manager="flyball")
    scale(server.store, body["metadata"]["name"], body["metadata"]["namespace"], replicas)


@pytest.fixture
def arguments(cluster: FakeApiServer, tmp_path: Path) -> list[str]:
    """The command line that asks the cluster about the service."""
    kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig", context="prod")
    return ["doctor", "--manifests", str(DATA / "rendered.yaml"), "--kubeconfig", str(kubeconfig)]
