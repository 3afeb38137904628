"""`flyball delete`: what goes, in which order, and what stays."""

from pathlib import Path

import pytest

from cluster_verbs import Flyball
from fake_apiserver import FakeApiServer
from plain_service import LABELS, NAMESPACE, body, config_map, namespace, service, write


def deleted(server: FakeApiServer) -> list[str]:
    return [request.path.rpartition("/")[2] for request in server.writes if request.method == "DELETE"]


@pytest.fixture
def installed(live_server: FakeApiServer, flyball: Flyball, manifests: Path) -> FakeApiServer:
    """The small service, applied."""
    assert flyball("apply", "--manifests", manifests, "--yes").code == 0
    return live_server


def test_everything_but_the_weights(installed: FakeApiServer, flyball: Flyball, spec: Path) -> None:
    """In the reverse order of applying; the claim stays, and with it the namespace; again is no error."""
    answer = flyball("delete", spec, "--yes")

    assert answer.code == 0, answer.err
    assert [request.path.split("/")[-2] for request in installed.writes if request.method == "DELETE"] == [
        "podmonitors",
        "scaledobjects",
        "deployments",
        "jobs",
        "configmaps",
    ]
    assert "PersistentVolumeClaim chat-weights is kept" in answer.err
    assert "Namespace llm is kept: the claims are in it" in answer.err
    assert installed.store.all("Pod", NAMESPACE) == []

    again = flyball("delete", spec, "--yes")
    assert again.code == 0
    assert "nothing of chat to delete" in again.err


def test_with_the_weights_the_namespace_goes_too(installed: FakeApiServer, flyball: Flyball, spec: Path) -> None:
    """Flyball created the namespace and nothing is left in it."""
    answer = flyball("delete", spec, "--yes", "--weights")

    assert answer.code == 0
    assert deleted(installed)[-3:] == ["chat-weights", "chat-gateway", "llm"]
    assert installed.store.get("Namespace", "llm") is None


def test_a_namespace_that_others_use(installed: FakeApiServer, flyball: Flyball, spec: Path) -> None:
    """Something else in it keeps it, though flyball created it."""
    foreign = body("v1", "ConfigMap", "notes")
    foreign["metadata"].pop("labels")
    installed.store.put(foreign)

    answer = flyball("delete", spec, "--yes", "--weights")

    assert answer.code == 0
    assert "Namespace llm is kept: ConfigMap notes in it" in answer.err
    assert installed.store.get("ConfigMap", "notes", NAMESPACE) is not None


def test_a_namespace_that_somebody_else_made(live_server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """It stays even when it is empty, unless --namespace."""
    live_server.store.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    objects = write(tmp_path / "a.yaml", [namespace(), config_map()])
    flyball("apply", "--manifests", objects, "--yes")

    kept = flyball("delete", "--manifests", objects, "--yes")
    assert "Namespace llm is kept: flyball did not create it" in kept.err
    assert live_server.store.get("Namespace", "llm") is not None

    assert flyball("delete", "--manifests", objects, "--yes", "--namespace").code == 0
    assert live_server.store.get("Namespace", "llm") is None


def test_only_what_flyball_applied(installed: FakeApiServer, flyball: Flyball, spec: Path) -> None:
    """An object with copied labels is not ours; one of an older spec, that no manifest names, is."""
    copied = body("v1", "ConfigMap", "copied", data={"a": "1"})
    installed.store.put(copied, manager="kubectl")
    installed.store.apply(body("v1", "Service", "chat-old", spec={"ports": [{"port": 80}]}))

    flyball("delete", spec, "--yes")

    assert installed.store.get("Service", "chat-old", NAMESPACE) is None
    left = installed.store.get("ConfigMap", "copied", NAMESPACE)
    assert left is not None
    assert left["metadata"]["labels"] == LABELS


def test_pods_that_drain_too_long(installed: FakeApiServer, flyball: Flyball, spec: Path) -> None:
    """What is still there after the timeout is named, with exit code 1; the next run ends it."""
    for pod in installed.store.all("Pod", NAMESPACE):
        pod["metadata"]["finalizers"] = ["draining"]
        installed.store.put(pod)

    answer = flyball("delete", spec, "--yes", "--timeout", "10ms")

    assert answer.code == 1
    assert "Pod chat-engine-5d9c-0 is still there" in answer.err


def test_an_api_server_that_goes_away_half_way(installed: FakeApiServer, flyball: Flyball, spec: Path) -> None:
    """It says how far it got, and running it again ends it."""
    before = len(installed.requests)
    installed.store.reactions.append(lambda store, event, body: installed.die_after(0) if event == "DELETED" else None)
    answer = flyball("delete", spec, "--yes")

    assert answer.code == 3
    assert "are deleted: PodMonitor chat-engine" in answer.err or "are deleted: none" in answer.err
    assert "run it again" in answer.err
    assert len(installed.requests) > before

    installed.store.reactions.pop()
    installed.revive()
    assert flyball("delete", spec, "--yes").code == 0


def test_a_permission_that_is_missing(installed: FakeApiServer, flyball: Flyball, spec: Path) -> None:
    """Not to list a kind is told; not to delete one is an error with what was done."""
    installed.forbid("list", "secrets")
    installed.forbid("delete", "deployments.apps")

    answer = flyball("delete", spec, "--yes")

    assert answer.code == 3
    assert "secrets: no permission to list them" in answer.err
    assert "no permission to delete deployments.apps chat-engine in namespace llm" in answer.err
    assert "2 of 5 objects are deleted: PodMonitor chat-engine, ScaledObject chat-engine" in answer.err


def test_a_service_of_the_same_name_in_another_namespace(
    installed: FakeApiServer, flyball: Flyball, spec: Path
) -> None:
    """Node pools have no namespace: the name tells whose they are, and the other's stay."""
    ours, theirs = (body("karpenter.sh/v1", "NodePool", name, spec={}) for name in ("llm-chat-spot", "prod-chat-spot"))
    installed.store.apply(ours)
    installed.store.apply(theirs)

    flyball("delete", spec, "--yes")

    assert [each["metadata"]["name"] for each in installed.store.all("NodePool")] == ["prod-chat-spot"]


def test_manifests_of_no_service(flyball: Flyball, tmp_path: Path) -> None:
    """Without our labels there is nothing to find objects by."""
    foreign = body("v1", "ConfigMap", "x")
    del foreign["metadata"]["labels"]

    answer = flyball("delete", "--manifests", write(tmp_path / "a.yaml", [foreign]), "--yes")

    assert answer.code == 2
    assert "are not of one service" in answer.err


def test_the_service_is_told_from_others(installed: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """Two services in one namespace: deleting one leaves the other."""
    other = [
        {**each, "metadata": {**each["metadata"], "labels": {**LABELS, "app.kubernetes.io/part-of": "code"}}}
        for each in [config_map()]
    ]
    other[0]["metadata"]["name"] = "code-gateway"
    objects = write(tmp_path / "code.yaml", other)
    assert flyball("apply", "--manifests", objects, "--yes").code == 0

    assert flyball("delete", "--manifests", objects, "--yes").code == 0

    assert installed.store.get("ConfigMap", "code-gateway", NAMESPACE) is None
    assert len(service()) == sum(
        installed.store.get(each["kind"], each["metadata"]["name"], each["metadata"].get("namespace", "")) is not None
        for each in service()
    )
