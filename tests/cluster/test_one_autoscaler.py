"""From one autoscaler to another: never two on one Deployment, and the number of replicas stays."""

import json
from pathlib import Path

import pytest

from cluster_verbs import Flyball
from fake_apiserver import FakeApiServer
from fake_apiserver_controllers import autoscalers, deployments, jobs, scale
from fake_apiserver_store import Object, Store
from flyball.cli.main import run
from plain_service import NAMESPACE, autoscaler, claim, deployment, job, namespace, scaled_object, write

BY_HPA = [namespace(), deployment(), autoscaler()]
BY_KEDA = [namespace(), deployment(), scaled_object()]


@pytest.fixture
def scaling_server(live_server: FakeApiServer) -> FakeApiServer:
    """Refuses to have two HPAs at any time."""

    def at_most_one(store: Store, event: str, body: Object) -> None:
        if body["kind"] == "HorizontalPodAutoscaler" and event == "ADDED":
            names = [each["metadata"]["name"] for each in store.all("HorizontalPodAutoscaler", NAMESPACE)]
            assert len(names) == 1, names

    live_server.store.reactions.append(at_most_one)
    return live_server


def replicas(server: FakeApiServer) -> int:
    live = server.store.get("Deployment", "chat-engine", NAMESPACE)
    assert live is not None
    return int(live["spec"]["replicas"])


@pytest.mark.parametrize(("before", "after"), [(BY_HPA, BY_KEDA), (BY_KEDA, BY_HPA)], ids=["to-keda", "to-hpa"])
def test_the_old_one_goes_first(
    scaling_server: FakeApiServer, flyball: Flyball, tmp_path: Path, before: list[Object], after: list[Object]
) -> None:
    """Without --prune too, for two would fight; it is said, and no replica is started or stopped by it."""
    old, new = f"{before[-1]['kind']} chat-engine", f"{after[-1]['kind']} chat-engine"
    assert flyball("apply", "--manifests", write(tmp_path / "a.yaml", before), "--yes").code == 0
    scale(scaling_server.store, "chat-engine", NAMESPACE, 5)
    changed = write(tmp_path / "b.yaml", after)

    answer = flyball("apply", "--manifests", changed, "--yes")

    assert answer.code == 0, answer.err
    assert f"- {old}\n    goes first, and the number of replicas stays" in answer.err
    assert answer.err.index(f"{old} deleted") < answer.err.index(f"{new} created")
    assert replicas(scaling_server) == 5
    assert flyball("diff", "--manifests", changed).code == 0


def test_to_a_fixed_number(scaling_server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """The autoscaler goes although nothing replaces it, and the number that it wrote is no conflict any more."""
    assert flyball("apply", "--manifests", write(tmp_path / "a.yaml", BY_KEDA), "--yes").code == 0
    scale(scaling_server.store, "chat-engine", NAMESPACE, 5)
    fixed = write(tmp_path / "b.yaml", [namespace(), deployment(replicas=3)])

    answer = flyball("apply", "--manifests", fixed, "--yes")

    assert answer.code == 0, answer.err
    assert "- ScaledObject chat-engine\n    goes first: the spec gives a fixed number of replicas" in answer.err
    assert replicas(scaling_server) == 3
    assert scaling_server.store.all("HorizontalPodAutoscaler") == scaling_server.store.all("ScaledObject") == []


def test_somebody_elses_is_not_deleted(scaling_server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """`kubectl autoscale` came first: it is named with what to do, and nothing is changed."""
    scaling_server.store.put(namespace())
    theirs = {**autoscaler("by-hand"), "metadata": {"name": "by-hand", "namespace": NAMESPACE}}
    scaling_server.store.put(theirs, manager="kubectl-autoscale")
    wanted = write(tmp_path / "a.yaml", BY_HPA)
    before = len(scaling_server.writes)

    answer = flyball("apply", "--manifests", wanted, "--yes")

    assert answer.code == 1
    said = "HorizontalPodAutoscaler by-hand scales Deployment chat-engine already, and flyball did not create it"
    assert said in answer.err
    assert "kubectl -n llm delete horizontalpodautoscaler by-hand" in answer.err
    assert len(scaling_server.writes) == before
    differs = flyball("diff", "--manifests", wanted, "-o", "json")
    assert (differs.code, json.loads(differs.out)["rivals"]) == (1, [said])


def test_the_old_one_scales_while_weights_are_fetched(server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """Where the Job fails, nothing has changed for the replicas that serve."""
    server.store.reactions += [deployments(), jobs(failure="no such revision")]
    assert flyball("apply", "--manifests", write(tmp_path / "a.yaml", BY_HPA), "--yes", "--no-wait").code == 0

    answer = flyball("apply", "--manifests", write(tmp_path / "b.yaml", [*BY_KEDA, claim(), job()]), "--yes")

    assert answer.code == 1
    assert server.store.get("HorizontalPodAutoscaler", "chat-engine", NAMESPACE) is not None


def test_no_scaler_is_worse_than_the_old_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """KEDA is not installed and is to be left out: the HPA stays."""
    with FakeApiServer(custom=False) as server:
        server.store.reactions += [deployments()]
        where = ["--yes", "--no-wait", "--kubeconfig", str(server.kubeconfig(tmp_path / "kubeconfig"))]
        assert run(["apply", "--manifests", str(write(tmp_path / "a.yaml", BY_HPA)), *where]) == 0

        assert run(["apply", "--manifests", str(write(tmp_path / "b.yaml", BY_KEDA)), "--skip-missing", *where]) == 0

        assert "--prune deletes it" in capsys.readouterr().err
        assert server.store.get("HorizontalPodAutoscaler", "chat-engine", NAMESPACE) is not None


@pytest.mark.long
def test_an_autoscaler_that_reads_no_metric_is_not_ready(
    server: FakeApiServer, flyball: Flyball, tmp_path: Path
) -> None:
    """Without the Prometheus Adapter nothing would ever scale: apply does not call that ready."""
    server.store.reactions += [deployments(), autoscalers(failure="no custom metrics API registered")]

    answer = flyball("apply", "--manifests", write(tmp_path / "a.yaml", BY_HPA), "--yes", "--timeout", "3s")

    assert answer.code == 1
    said = "HorizontalPodAutoscaler chat-engine is not ready: FailedGetPodsMetric: no custom metrics API registered"
    assert said in answer.err
