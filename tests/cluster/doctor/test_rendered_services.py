"""What flyball renders for its examples, applied to a cluster that has all it asks for: the doctor finds nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from fake_apiserver import FakeApiServer
from fake_apiserver_controllers import NODE, deployments, jobs, keda, scale, volumes
from fake_prometheus import QUERY, TARGETS, FakePrometheus
from flyball.catalog import DEFAULT_RELEASE, release
from flyball.cli.main import run
from flyball.cluster.connection import connect
from flyball.cluster.doctor import ExpectedService, Walk, expected_service, gather, walk
from flyball.cluster.doctor.facts import Sample, Target
from flyball.cluster.doctor.scheduling import label_mismatches
from flyball.manifests.queries import adapter_rule
from sound_cluster import prometheus_answers

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "manifests" / "data"
NEW_LABEL, OLD_LABEL = "nvidia.com/cuda.driver-version.major", "nvidia.com/cuda.driver.major"
DRIVER = {OLD_LABEL: "595", NEW_LABEL: "595"}
PROXY = "/api/v1/namespaces/monitoring/services/prometheus-operated:9090/proxy"
CLASSES = {"efs": "efs.csi.aws.com", "filestore-premium": "filestore.csi.storage.gke.io"}
SERVICES = {
    "v1beta1.external.metrics.k8s.io": "keda-operator-metrics-apiserver",
    "v1beta1.custom.metrics.k8s.io": "prometheus-adapter",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    name: str
    node_labels: Mapping[str, str]
    """As the cloud and the GPU Operator label the machine that the example plans with."""


KARPENTER = {"karpenter.sh/capacity-type": "on-demand", "nvidia.com/gpu.present": "true", **DRIVER}
EXAMPLE_SERVICES = (
    Example(name="chat", node_labels={**KARPENTER, "karpenter.k8s.aws/instance-gpu-name": "l40s"}),
    Example(name="guide", node_labels={**KARPENTER, "karpenter.k8s.aws/instance-gpu-name": "a10g"}),
    Example(name="70b", node_labels={"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"}),
)


def storage_class(name: str, provisioner: str) -> dict[str, Any]:
    body = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": provisioner}
    return {**body, "metadata": {"name": name}}


@cache
def service_of(name: str) -> ExpectedService:
    """As the example's golden file has it, which is what `flyball render` writes."""
    objects = list(yaml.safe_load_all((GOLDEN / f"{name}.yaml").read_text()))
    rule = adapter_rule("waiting", release=release(DEFAULT_RELEASE)) if name == "guide" else None
    address = {"url": "http://prometheus-operated.monitoring.svc", "port": 9090, "path": ""}
    values = {"prometheus": address, "rules": {"custom": [rule]}} if rule else None
    part_of = "large" if name == "70b" else name
    return expected_service(objects, name=part_of, namespace="llm", adapter_values=values)


def applied(server: FakeApiServer, service: ExpectedService, node_labels: Mapping[str, str]) -> None:
    """The cluster after everything was applied and has settled, Prometheus and the autoscaler included."""
    store = server.store
    store.reactions += [deployments(), jobs(), volumes(), keda()]
    resources = {"cpu": "400", "memory": "4Ti", "ephemeral-storage": "4Ti", "nvidia.com/gpu": "64"}
    status = {"capacity": resources, "allocatable": resources, "conditions": [{"type": "Ready", "status": "True"}]}
    taints = [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]
    node = {"metadata": {"name": NODE, "labels": dict(node_labels)}, "spec": {"taints": taints}, "status": status}
    store.put({"apiVersion": "v1", "kind": "Node", **node})
    for name, provisioner in CLASSES.items():
        store.put(storage_class(name, provisioner))
    for name, owner in SERVICES.items():
        condition = {"type": "Available", "status": "True"}
        spec = {"service": {"name": owner, "namespace": "somewhere"}}
        parts = {"metadata": {"name": name}, "spec": spec, "status": {"conditions": [condition]}}
        store.put({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", **parts})
    for each in service.objects:
        store.apply({**each})
    for engine in service.engines:
        if engine.scaler is not None:
            scale(store, engine.name, service.namespace, engine.least)
    while store.steps:
        store.step()
    for budget in store.all("PodDisruptionBudget"):
        name = budget["metadata"]["name"]
        store.edit("PodDisruptionBudget", name, service.namespace, manager="c", status={"disruptionsAllowed": 1})
    decided(server, service)
    measured(server, service)


def decided(server: FakeApiServer, service: ExpectedService) -> None:
    """The HPA has read its metric, and the metrics API serves it."""
    for autoscaler in server.store.all("HorizontalPodAutoscaler"):
        metric = {"metric": {"name": "s0-prometheus"}, "target": {"type": "AverageValue", "averageValue": "9"}}
        metrics = autoscaler["spec"].get("metrics") or [{"type": "External", "external": metric}]
        kind = metrics[0]["type"].lower()
        name = metrics[0][kind]["metric"]["name"]
        current = {"type": metrics[0]["type"], kind: {"metric": {"name": name}, "current": {"averageValue": "3"}}}
        active = {"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}
        status = {"currentMetrics": [current], "conditions": [active], "currentReplicas": 2, "desiredReplicas": 2}
        server.store.edit(
            "HorizontalPodAutoscaler",
            autoscaler["metadata"]["name"],
            service.namespace,
            manager="kube-controller-manager",
            spec={"metrics": metrics},
            status=status,
        )
        root = f"/apis/{'external' if kind == 'external' else 'custom'}.metrics.k8s.io/v1beta1/namespaces"
        inside = "" if kind == "external" else "pods/*/"
        server.raw[f"{root}/{service.namespace}/{inside}{name}"] = {"items": [{"value": "3"}]}


def measured(server: FakeApiServer, service: ExpectedService) -> None:
    """Prometheus scrapes every pod through the PodMonitors, with the labels that those give."""
    series, targets = [], []
    for monitor in service.of("PodMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        endpoint = monitor["spec"]["podMetricsEndpoints"][0]
        added = {each["targetLabel"]: each["replacement"] for each in endpoint["relabelings"]}
        for pod in server.store.all("Pod", service.namespace):
            labels = pod["metadata"]["labels"]
            if all(labels.get(key) == value for key, value in wanted.items()):
                container = pod["spec"]["containers"][0]["name"]
                own = {"namespace": service.namespace, "pod": pod["metadata"]["name"], "container": container}
                pool = f"podMonitor/{service.namespace}/{monitor['metadata']['name']}/0"
                targets.append(Target(pool=pool, labels=own, health="up"))
                series.append({**own, **added, "engine": "0"})
    engines = [each for each in series if each["container"] == "vllm"]
    per_pod = any(query.per_pod for query in service.queries)
    names: Sequence[Mapping[str, str]] = [{"pod": each["pod"]} for each in engines] if per_pod else [{}]
    values = [Sample(labels=each, value=3.0) for each in names]
    prometheus = FakePrometheus(prometheus_answers(service, engines, values, service.dcgm_fields), targets)
    server.raw |= {f"{PROXY}{QUERY}": prometheus.query, f"{PROXY}{TARGETS}": prometheus.active_targets}


def walked(server: FakeApiServer, service: ExpectedService, folder: Path) -> Walk:
    with connect(kubeconfig=server.kubeconfig(folder / "kubeconfig")) as api:
        return walk(gather(api, service, now=datetime(2026, 11, 24, tzinfo=UTC)), service)


@pytest.mark.parametrize("example", EXAMPLE_SERVICES, ids=lambda each: each.name)
def test_rendered_service_is_sound(example: Example, tmp_path: Path) -> None:
    """Every link is ok, so what the doctor reads off the objects is what was meant by them."""
    service = service_of(example.name)
    with FakeApiServer() as server:
        applied(server, service, example.node_labels)

        found = walked(server, service, tmp_path)

    assert [(link.id, link.state, link.answer, link.symptoms) for link in found.links if link.state != "ok"] == []
    assert len(service.queries) == 1
    assert service.dcgm_fields


@pytest.mark.parametrize(
    ("driver", "is_let_in"),
    [
        ({}, True),
        ({OLD_LABEL: "595"}, True),
        ({NEW_LABEL: "595"}, True),
        ({NEW_LABEL: "595", OLD_LABEL: "595"}, True),
        ({OLD_LABEL: "570"}, False),
        ({NEW_LABEL: "570"}, False),
        ({NEW_LABEL: "570", OLD_LABEL: "570"}, False),
    ],
)
def test_an_old_driver_is_known_by_either_label(driver: Mapping[str, str], is_let_in: bool) -> None:
    """Nodes that do not tell their driver are let in; those with a driver that cannot run the image are not."""
    labels = {"karpenter.k8s.aws/instance-gpu-name": "a10g", **driver}

    mismatches = label_mismatches(service_of("guide").engines[0].pod, labels)

    assert (not mismatches) == is_let_in, mismatches


def test_before_anything_is_applied(tmp_path: Path) -> None:
    """With Karpenter's pools only rendered, the missing GPU nodes are no break: what is missing is the Deployment."""
    service = service_of("chat")
    with FakeApiServer() as server:
        for name, provisioner in CLASSES.items():
            server.store.put(storage_class(name, provisioner))
        found = walked(server, service, tmp_path)

    marks = {link.id: link.state for link in found.links}
    assert found.first_broken is not None
    assert found.first_broken.id == "deployed"
    assert marks["gpus"] == "warning"
    assert marks["placement"] == marks["capacity"] == "ok"


def test_doctor_of_a_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`flyball doctor SPEC` looks for what the spec renders to, here an HPA that the Prometheus Adapter feeds."""
    monkeypatch.setenv("FLYBALL_HOME", str(tmp_path))
    guide = next(example for example in EXAMPLE_SERVICES if example.name == "guide")
    with FakeApiServer() as server:
        applied(server, service_of("guide"), guide.node_labels)
        kubeconfig = server.kubeconfig(tmp_path / "kubeconfig")

        assert run(["doctor", str(ROOT / "examples" / "guide.yaml"), "--kubeconfig", str(kubeconfig)]) == 0

    out = capsys.readouterr().out
    assert "v1beta1.custom.metrics.k8s.io by somewhere/prometheus-adapter" in out
    assert out.endswith("\nsound\n")


def test_doctor_of_a_spec_without_a_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A spec that nothing can meet renders nothing: the answer is no, before any cluster is asked."""
    monkeypatch.setenv("FLYBALL_HOME", str(tmp_path))
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "model: {id: meta-llama/Llama-3.1-8B-Instruct}\nslo: {ttft: {p95: 1ms}}\nhardware: {accelerators: [A10G]}\n"
    )

    assert run(["doctor", str(spec), "--kubeconfig", str(tmp_path / "none")]) == 1

    assert "no plan" in capsys.readouterr().err
