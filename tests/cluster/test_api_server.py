"""The connection: every failure is one error with what, where and a way out; lists are paged; watches end."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from fake_apiserver import FakeApiServer
from fake_apiserver_store import RefusalError
from flyball.cluster.api_server import ApiServer
from flyball.cluster.connection import connect
from flyball.cluster.objects import ObjectKey, key_of
from flyball.cluster.refusals import FieldConflictError, ForbiddenError, RefusedError, UnreachableError
from plain_service import config_map, deployment, namespace, scaled_object

DEPLOYMENT = key_of(deployment())


@contextmanager
def connection_to(server: str, tmp_path: Path, *, timeout_s: float = 5.0) -> Iterator[ApiServer]:
    document = {
        "clusters": [{"name": "a", "cluster": {"server": server, "insecure-skip-tls-verify": True}}],
        "contexts": [{"name": "a", "context": {"cluster": "a"}}],
        "current-context": "a",
    }
    (tmp_path / "other").write_text(yaml.safe_dump(document))
    with connect(kubeconfig=tmp_path / "other", timeout_s=timeout_s) as api:
        yield api


def test_nobody_listens(tmp_path: Path) -> None:
    """Connection refused names the server."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with (
        connection_to(f"http://127.0.0.1:{port}", tmp_path) as api,
        pytest.raises(UnreachableError, match=rf"cannot reach the API server http://127\.0\.0\.1:{port}"),
    ):
        api.get(DEPLOYMENT)


def test_tls_with_something_else(server: FakeApiServer, tmp_path: Path) -> None:
    """Https to a server that speaks no TLS."""
    with (
        connection_to(server.url.replace("http:", "https:"), tmp_path) as api,
        pytest.raises(UnreachableError, match="TLS with"),
    ):
        api.get(DEPLOYMENT)


def test_a_server_that_is_silent(server: FakeApiServer, tmp_path: Path) -> None:
    """A timeout is told as one."""
    server.latency_s = 0.5
    with (
        connection_to(server.url, tmp_path, timeout_s=0.05) as api,
        pytest.raises(UnreachableError, match="no answer in time"),
    ):
        api.get(DEPLOYMENT)


def test_wrong_credentials(server: FakeApiServer, tmp_path: Path) -> None:
    """401 says that the credentials are it."""
    file = server.kubeconfig(tmp_path / "kubeconfig", token="expired")
    with (
        connect(kubeconfig=file) as api,
        pytest.raises(RefusedError, match=r"does not know the kubeconfig's user \(401\)"),
    ):
        api.get(DEPLOYMENT)


def test_credentials_that_cannot_be_had(server: FakeApiServer, tmp_path: Path) -> None:
    """A credential plugin that is not installed, and one that fails."""
    for command, words in ((["no-such-plugin"], "No such file"), (["false"], "returned 1")):
        file = server.kubeconfig(tmp_path / "kubeconfig")
        document = yaml.safe_load(file.read_text())
        plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": command[0]}
        document["users"][0]["user"] = {"exec": plugin}
        file.write_text(yaml.safe_dump(document))
        with (
            connect(kubeconfig=file) as api,
            pytest.raises(UnreachableError, match=f"credentials .* cannot be had: .*{words}"),
        ):
            api.get(DEPLOYMENT)


def test_a_permission_that_is_missing(server: FakeApiServer, api: ApiServer) -> None:
    """403 names verb, resource and namespace."""
    server.forbid("get", "deployments.apps", "llm")
    with pytest.raises(ForbiddenError) as caught:
        api.get(DEPLOYMENT)

    assert (caught.value.verb, caught.value.resource, caught.value.namespace) == ("get", "deployments.apps", "llm")
    assert caught.value.fix == "ask for the verb get on deployments.apps in namespace llm, or use another context"


def test_a_refusal_that_no_permission_would_mend(server: FakeApiServer, api: ApiServer) -> None:
    """403 is also the answer of a quota; it is not told as a missing permission."""
    server.store.put(namespace())
    server.deny("ConfigMap", "exceeded quota: gpus", status=403, reason="Forbidden")
    with pytest.raises(RefusedError, match="exceeded quota") as caught:
        api.apply(config_map())

    assert not isinstance(caught.value, ForbiddenError)
    assert "ResourceQuota" in caught.value.fix


def test_a_field_that_the_server_does_not_know(server: FakeApiServer, api: ApiServer) -> None:
    """Server-side apply answers 500, as Kubernetes 1.20 does to a preStop sleep; trying again would not help."""
    server.store.put(namespace())
    body = deployment()
    body["spec"]["template"]["spec"]["containers"][0]["lifecycle"] = {"preStop": {"nap": {"seconds": 35}}}
    with pytest.raises(RefusedError, match=r"\.lifecycle\.preStop\.nap: field not declared in schema") as caught:
        api.apply(body)

    assert caught.value.status == 500
    assert caught.value.fix.endswith("upgrade what defines it")


def test_a_server_that_goes_away(server: FakeApiServer, api: ApiServer) -> None:
    """A connection that breaks is told with what was asked."""
    api.get(DEPLOYMENT)
    server.die_after(0)
    with pytest.raises(UnreachableError, match=r"the connection broke: .*get deployments\.apps chat-engine"):
        api.get(DEPLOYMENT)


def test_a_server_in_trouble(server: FakeApiServer, api: ApiServer) -> None:
    """5xx is worth a retry, and says so."""
    server.fail(500)
    with pytest.raises(RefusedError, match="request timed out") as caught:
        api.read("/version")

    assert "again later" in caught.value.fix


def test_something_that_is_no_api_server(server: FakeApiServer, api: ApiServer) -> None:
    """An error page of a proxy is quoted as it is; a page where JSON should be is named."""
    server.raw["/version"] = RefusalError(502, "", "bad gateway")
    with pytest.raises(RefusedError, match="bad gateway"):
        api.read("/version")


def test_another_managers_fields(server: FakeApiServer, api: ApiServer) -> None:
    """A conflict carries managers and fields."""
    server.store.put(namespace())
    server.store.put(config_map(a="1"), manager="kubectl-edit")
    with pytest.raises(FieldConflictError) as caught:
        api.apply(config_map(a="2"))

    assert [(each.manager, each.field) for each in caught.value.conflicts] == [("kubectl-edit", ".data.a")]


def test_lists_are_read_to_the_end(server: FakeApiServer, api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paged lists come back whole, with kind and version on each item; a limit stops after a page."""
    monkeypatch.setattr("flyball.cluster.api_server.PAGE", 2)
    for name in ("a", "b", "c", "d", "e"):
        server.store.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"x": name}}})

    names = [key_of(body).name for body in api.list("v1", "Namespace")]
    assert names == ["a", "b", "c", "d", "default", "e", "kube-system"]
    assert [key_of(body).name for body in api.list("v1", "Namespace", labels="x in (a,e)")] == ["a", "e"]
    assert len(api.list("v1", "Namespace", limit=1)) == 1
    assert api.list("v1", "Namespace")[0]["kind"] == "Namespace"


def test_kinds_that_are_not_served(api: ApiServer) -> None:
    """Asking for one is no error; writing one is."""
    thing = ObjectKey(api_version="example.com/v1", kind="Thing", name="x")

    assert api.get(thing) is None
    assert api.list("example.com/v1", "Thing") == []
    assert not api.delete(thing)
    assert list(api.watch("example.com/v1", "Thing")) == []
    with pytest.raises(RefusedError, match=r"does not serve Thing of example\.com/v1"):
        api.apply({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "x"}})


def test_other_versions_of_a_kind(api: ApiServer) -> None:
    """Discovery tells which version is there instead."""
    beta = scaled_object("keda.sh/v2")

    assert api.discovery.other_versions(beta["apiVersion"], beta["kind"]) == ("keda.sh/v1alpha1",)
    assert api.discovery.in_any_version("apps", "Deployment") is not None
    kinds = {(kind.api_version, kind.kind) for kind in api.discovery.everything()}
    assert {("v1", "Pod"), ("apps/v1", "Deployment"), ("keda.sh/v1alpha1", "ScaledObject")} <= kinds


def test_a_watch_tells_what_happens(server: FakeApiServer, api: ApiServer) -> None:
    """First what is there, then each change; it can be left at any time."""
    server.store.put(namespace())
    server.store.put(config_map(a="1"))

    def change() -> None:
        server.store.put(config_map(a="2"))

    server.store.steps.append(change)
    changes = api.watch("v1", "ConfigMap", namespace="llm", name="chat-gateway", timeout_s=5)
    seen = [next(changes) for _ in range(2)]
    changes.close()

    assert [(event, body["data"]["a"]) for event, body in seen] == [("ADDED", "1"), ("MODIFIED", "2")]


def test_only_the_very_object_is_deleted(server: FakeApiServer, api: ApiServer) -> None:
    """A uid that is not the object's protects what was created anew."""
    server.store.put(namespace())
    server.store.put(config_map())
    with pytest.raises(RefusedError, match="precondition"):
        api.delete(key_of(config_map()), uid="another")

    assert api.delete(key_of(config_map()))
    assert not api.delete(key_of(config_map()))
