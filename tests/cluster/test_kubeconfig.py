"""Which cluster is meant: order of sources, merging, and one clear line for every mistake."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from flyball.cluster.kubeconfig import Target, find_target
from flyball.errors import UsageError


def kubeconfig(path: Path, *contexts: str, current: str | None = None, user: Any = None, **cluster: Any) -> Path:
    """A file with a cluster, a user and a context of each name."""
    document = {
        "current-context": current,
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}:6443", **cluster}} for name in contexts],
        "users": [{"name": name, "user": user or {"token": "x"}} for name in contexts],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in contexts],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document))
    return path


def find(home: Path, *, context: str | None = None, file: Path | None = None, **environment: str) -> Target:
    return find_target(context=context, kubeconfig=file, environment=environment, home=home, pod=home / "pod")


def test_the_order_of_sources(tmp_path: Path) -> None:
    """--kubeconfig before $KUBECONFIG before ~/.kube/config."""
    kubeconfig(tmp_path / ".kube" / "config", "home", current="home")
    variable = kubeconfig(tmp_path / "variable", "variable", current="variable")
    option = kubeconfig(tmp_path / "option", "option", current="option")

    assert find(tmp_path).context == "home"
    assert find(tmp_path, KUBECONFIG=str(variable)).context == "variable"
    assert find(tmp_path, file=option, KUBECONFIG=str(variable)).server == "https://option:6443"


def test_files_of_the_variable_are_merged(tmp_path: Path) -> None:
    """The first file that names a thing wins; a file that is not there is passed over, as kubectl does."""
    one = kubeconfig(tmp_path / "one", "a", current="a")
    two = kubeconfig(tmp_path / "two", "a", "b", current="b", **{"insecure-skip-tls-verify": True})
    variable = f"{tmp_path / 'none'}:{one}:{two}"

    assert find(tmp_path, KUBECONFIG=variable).context == "a"
    assert not find(tmp_path, KUBECONFIG=variable).config.cluster.insecure
    assert find(tmp_path, context="b", KUBECONFIG=variable).server == "https://b:6443"


def test_certificates_are_relative_to_their_file(tmp_path: Path) -> None:
    """`certificate-authority: ca.crt` is beside the file that says so."""
    file = kubeconfig(tmp_path / "deep" / "config", "a", current="a", **{"certificate-authority": "ca.crt"})

    assert find(tmp_path, file=file).config.cluster.certificate_auth == str(tmp_path / "deep" / "ca.crt")


def test_a_context_without_a_user_and_with_a_proxy(tmp_path: Path) -> None:
    """A server behind `kubectl proxy` needs no credentials; a cluster's proxy is used."""
    file = kubeconfig(tmp_path / "config", "a", current="a", **{"proxy-url": "http://proxy:3128"})
    document = yaml.safe_load(file.read_text())
    del document["contexts"][0]["context"]["user"]
    file.write_text(yaml.safe_dump(document))

    target = find(tmp_path, file=file)

    assert (target.proxy, target.namespace) == ("http://proxy:3128", "default")
    assert target.config.user is not None


def test_a_plugin_of_version_one(tmp_path: Path) -> None:
    """Newer credential plugins are asked in a way that the client library knows, and learn the version."""
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "aws", "interactiveMode": "Never"}
    target = find(tmp_path, file=kubeconfig(tmp_path / "config", "a", current="a", user={"exec": plugin}))

    user = target.config.user
    assert user is not None
    assert user.exec is not None
    assert user.exec.apiVersion == "client.authentication.k8s.io/v1beta1"
    assert [(each.name, "authentication.k8s.io/v1" in each.value) for each in user.exec.env or []] == [
        ("KUBERNETES_EXEC_INFO", True)
    ]


def test_in_a_pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any file, the service account of the pod."""
    (tmp_path / "pod").mkdir()
    for name, text in (("token", "t"), ("namespace", "llm"), ("ca.crt", "")):
        (tmp_path / "pod" / name).write_text(text)

    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")  # lightkube reads both there
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")

    target = find(tmp_path, KUBERNETES_SERVICE_HOST="10.0.0.1")

    assert (target.context, target.server, target.namespace) == ("in-cluster", "https://10.0.0.1:443", "llm")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not YAML"),
        ("hello", "names no clusters"),
        ("clusters: []\ncontexts: []", "has no current context"),
        ("clusters: []\ncontexts: []\ncurrent-context: x", "the current context 'x' is not in"),
        ("clusters: []\ncontexts: [{name: x, context: {cluster: y}}]\ncurrent-context: x", "refers to 'y'"),
        (
            "clusters: [{name: y, cluster: {server: 5}}]\ncontexts: [{name: x, context: {cluster: y}}]\n"
            "current-context: x",
            "Expected `str`",
        ),
    ],
)
def test_a_file_that_is_no_kubeconfig(tmp_path: Path, text: str, words: str) -> None:
    """The file, what is wrong in it, and a way out."""
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        find(tmp_path, file=file)

    assert str(file) in caught.value.what
    assert caught.value.fix


def test_there_is_none(tmp_path: Path) -> None:
    """No file anywhere, a variable that names none, an option that names none, an unreadable one, bytes."""
    with pytest.raises(UsageError, match="no kubeconfig"):
        find(tmp_path)
    with pytest.raises(UsageError, match=r"\$KUBECONFIG names .*/nowhere: no such file"):
        find(tmp_path, KUBECONFIG=str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="no such file"):
        find(tmp_path, file=tmp_path / "nowhere")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        find(tmp_path, file=tmp_path)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8"):
        find(tmp_path, file=tmp_path / "bytes")


def test_a_context_that_is_not_there(tmp_path: Path) -> None:
    """The ones that are there are listed."""
    file = kubeconfig(tmp_path / "config", "prod", "stage", current="prod")
    with pytest.raises(UsageError, match="'porduction' is not in") as caught:
        find(tmp_path, file=file, context="porduction")

    assert "prod, stage" in caught.value.fix
