"""A namespace that somebody else made, and whose rights end at its border."""

from pathlib import Path

import pytest

from cluster_verbs import Flyball
from fake_apiserver import FakeApiServer
from plain_service import NAMESPACE, config_map, deployment, namespace, write


@pytest.fixture
def theirs(live_server: FakeApiServer) -> FakeApiServer:
    live_server.store.put(namespace(), manager="their-platform")
    return live_server


@pytest.mark.parametrize("verb", ["get", "patch"])
def test_the_namespace_is_left_as_it_is(theirs: FakeApiServer, flyball: Flyball, tmp_path: Path, verb: str) -> None:
    """Who may only work within it can apply a service; what of the namespace is not touched is said."""
    theirs.forbid(verb, "namespaces")
    wanted = write(tmp_path / "a.yaml", [namespace(), config_map(), deployment()])

    answer = flyball("apply", "--manifests", wanted, "--yes")

    assert answer.code == 0, answer.err
    assert f"Namespace llm\n    left as it is: no permission to {verb} it" in answer.err
    assert theirs.store.get("Deployment", "chat-engine", NAMESPACE) is not None
    assert flyball("diff", "--manifests", wanted).code == 0


def test_a_namespace_that_is_missing_must_be_made(server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """It is seen that it is not there, and it may not be created: nothing can be applied."""
    server.forbid("patch", "namespaces")

    answer = flyball("apply", "--manifests", write(tmp_path / "a.yaml", [namespace(), config_map()]), "--yes")

    assert answer.code == 3
    assert "ask for the verb patch on namespaces" in answer.err
    assert server.writes == []


def test_deleting_without_seeing_the_namespace(
    theirs: FakeApiServer, flyball: Flyball, tmp_path: Path, spec: Path
) -> None:
    """What is in it goes, and the namespace stays; --namespace needs the permission."""
    assert flyball("apply", "--manifests", write(tmp_path / "a.yaml", [namespace(), config_map()]), "--yes").code == 0
    theirs.forbid("get", "namespaces")

    assert flyball("delete", spec, "--yes", "--namespace").code == 3
    assert flyball("delete", spec, "--yes").code == 0

    assert theirs.store.get("ConfigMap", "chat-gateway", NAMESPACE) is None
    assert theirs.store.get("Namespace", NAMESPACE) is not None


def test_tokens_do_not_keep_a_namespace(
    live_server: FakeApiServer, flyball: Flyball, tmp_path: Path, spec: Path
) -> None:
    """Clusters before 1.24 and OpenShift make Secrets for every account: they are nobody's work."""
    assert flyball("apply", "--manifests", write(tmp_path / "a.yaml", [namespace(), config_map()]), "--yes").code == 0
    metadata = {"name": "default-token-x7k2p", "namespace": NAMESPACE}
    token = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/service-account-token"}
    live_server.store.put(token, manager="kube-controller-manager")

    assert flyball("delete", spec, "--yes").code == 0

    assert live_server.store.get("Namespace", NAMESPACE) is None


def test_a_namespace_that_is_being_deleted(theirs: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """Its objects may still be there, unchanged, and all that is applied is accepted, and goes with it."""
    wanted = write(tmp_path / "a.yaml", [namespace(), config_map()])
    assert flyball("apply", "--manifests", wanted, "--yes").code == 0
    theirs.store.edit("Namespace", NAMESPACE, "", manager="k", metadata={"deletionTimestamp": "2026-11-25T10:42:00Z"})

    answer = flyball("apply", "--manifests", wanted, "--yes")

    assert answer.code == 3
    assert "Namespace llm is being deleted; nothing was changed" in answer.err
