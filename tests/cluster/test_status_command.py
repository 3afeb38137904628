"""`flyball status SPEC`: one screen, and whether all is well."""

import json
from pathlib import Path
from typing import Any

import pytest

from cluster_verbs import Flyball
from fake_apiserver import FakeApiServer
from fake_apiserver_controllers import deployments, keda
from flyball.cli.main import run
from plain_service import NAMESPACE, deployment, namespace, scaled_object, write

Object = dict[str, Any]
HPA = "keda-hpa-chat-engine"
METRIC = {
    "type": "External",
    "external": {
        "metric": {"name": "s0-prometheus"},
        "target": {"type": "AverageValue", "averageValue": "10"},
    },
}


def hpa_status(*, active: bool = True) -> Object:
    conditions = [
        {"type": "AbleToScale", "status": "True", "reason": "ReadyForNewScale"},
        {
            "type": "ScalingActive",
            "status": str(active),
            "reason": "ValidMetricFound" if active else "FailedGetExternalMetric",
            "message": "" if active else "unable to get external metric: no matching metrics found",
        },
        {"type": "ScalingLimited", "status": "True", "reason": "TooFewReplicas", "message": "the desired count is low"},
    ]
    current = {"external": {"metric": {"name": "s0-prometheus"}, "current": {"averageValue": "7500m"}}}
    metrics = [{"type": "External", **current}] if active else []
    return {"currentReplicas": 2, "desiredReplicas": 2, "currentMetrics": metrics, "conditions": conditions}


def event(kind: str, name: str, reason: str, message: str, *, type_: str = "Normal", minute: int = 0) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.{reason}.{minute}", "namespace": NAMESPACE},
        "involvedObject": {"kind": kind, "name": name},
        "type": type_,
        "reason": reason,
        "message": message,
        "lastTimestamp": f"2026-11-01T08:{minute:02}:00Z",
    }


@pytest.fixture
def running(live_server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> FakeApiServer:
    """A Deployment that KEDA scales, ready, with an HPA that has decided."""
    objects = write(tmp_path / "a.yaml", [namespace(), deployment(), scaled_object()])
    assert flyball("apply", "--manifests", objects, "--yes").code == 0
    store = live_server.store
    store.edit("HorizontalPodAutoscaler", HPA, NAMESPACE, manager="keda", spec={"metrics": [METRIC]})
    store.edit("HorizontalPodAutoscaler", HPA, NAMESPACE, manager="hpa", subresource="status", status=hpa_status())
    for minute, size in ((1, 3), (2, 2)):
        store.put(
            event("HorizontalPodAutoscaler", HPA, "SuccessfulRescale", f"New size: {size}; reason: x", minute=minute)
        )
    return live_server


def test_one_screen(running: FakeApiServer, flyball: Flyball, spec: Path) -> None:
    """Pods with node and GPUs, the chain with signal and target, the last decisions first; nothing is written."""
    writes = len(running.writes)
    answer = flyball("status", spec)

    assert answer.code == 0, answer.out
    assert answer.out.splitlines() == [
        "chat  healthy  1 pods  1 GPUs",
        "  Deployment chat-engine  1 of 1 ready",
        "",
        "pod                 component  state  restarts  gpus  node",
        "chat-engine-5d9c-0  engine     ready  0         1     gpu-node-1",
        "",
        f"ScaledObject chat-engine -> HPA {HPA} -> Deployment chat-engine: 2 replicas, 2 desired, 1 to 8",
        "  s0-prometheus: 7.5, target 10 a replica",
        "  limited: the desired count is low",
        "  2026-11-01T08:02:00Z SuccessfulRescale: New size: 2; reason: x",
        "  2026-11-01T08:01:00Z SuccessfulRescale: New size: 3; reason: x",
    ]
    assert f"context test, server {running.url}, namespace llm" in answer.err
    assert len(running.writes) == writes


def test_a_signal_that_is_unknown(running: FakeApiServer, flyball: Flyball, spec: Path) -> None:
    """An HPA without its metric is no healthy one: it holds the replicas, whatever comes."""
    status = hpa_status(active=False)
    running.store.edit("HorizontalPodAutoscaler", HPA, NAMESPACE, manager="hpa", subresource="status", status=status)

    answer = flyball("status", spec)

    assert answer.code == 1
    assert "chat  not healthy" in answer.out
    assert "s0-prometheus: unknown, target 10 a replica" in answer.out
    assert "HPA ScalingActive is False: FailedGetExternalMetric: unable to get external metric" in answer.out


def test_pods_that_find_no_node(server: FakeApiServer, flyball: Flyball, tmp_path: Path, spec: Path) -> None:
    """The scheduler's words and a hint stand below the pod; warnings stand below all."""
    message = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu."
    server.store.reactions += [deployments(pending=message), keda()]
    objects = write(tmp_path / "a.yaml", [namespace(), deployment()])
    flyball("apply", "--manifests", objects, "--yes", "--no-wait")
    server.store.put(event("Pod", "chat-engine-5d9c-0", "FailedScheduling", message, type_="Warning"))

    answer = flyball("status", spec)

    assert answer.code == 1
    assert f"  not scheduled: {message} (no free GPU: add GPU nodes" in answer.out
    assert answer.out.endswith(
        f"last warnings\n  2026-11-01T08:00:00Z chat-engine-5d9c-0: FailedScheduling: {message}\n"
    )
    assert "chat  not healthy  1 pods  0 GPUs" in answer.out


def test_as_json(running: FakeApiServer, flyball: Flyball, spec: Path) -> None:
    """The same facts for programs."""
    document = json.loads(flyball("status", spec, "-o", "json").out)

    assert document["is_healthy"]
    assert (document["gpus"], document["pods"][0]["node"]) == (1, "gpu-node-1")
    assert document["chains"][0]["signals"] == [
        {"name": "s0-prometheus", "current": "7.5", "target": "10", "kind": "AverageValue"}
    ]


def test_nothing_is_there(server: FakeApiServer, flyball: Flyball, spec: Path) -> None:
    """A cluster without the service is not healthy, and says what puts it there."""
    answer = flyball("status", spec)

    assert answer.code == 1
    assert answer.out == "chat is not in namespace llm: `flyball apply` puts it there\n"


def test_without_a_spec_it_is_this_machines_fleet(
    server: FakeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No argument and a bare name ask for a fleet in the background, not for the cluster."""
    monkeypatch.setenv("FLYBALL_HOME", str(tmp_path))

    assert (run(["status"]), run(["status", "chat"])) == (2, 2)
    assert "no fleet named chat is running" in capsys.readouterr().err
    assert server.requests == []


@pytest.mark.parametrize("verb", ["status", "diff", "apply", "delete", "doctor"])
def test_without_a_cluster(
    verb: str, spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every verb of the cluster says that there is no kubeconfig, and how to get one."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    objects = write(tmp_path / "a.yaml", [namespace(), deployment()])

    assert run([verb, "--manifests", str(objects), *(["--yes"] if verb in ("apply", "delete") else [])]) == 2
    assert "flyball: no kubeconfig" in capsys.readouterr().err
