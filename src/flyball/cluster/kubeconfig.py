"""Which cluster is meant: from the command line, $KUBECONFIG, ~/.kube/config or the pod that we run in.

The order is kubectl's: an explicit file, the files of $KUBECONFIG (merged, the first one that names a thing wins),
the user's own file, and inside a pod its service account. Every mistake is a UsageError that names the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml
from lightkube.config.kubeconfig import SERVICE_ACCOUNT, KubeConfig, SingleConfig
from lightkube.config.models import NameValue, User
from lightkube.core.exceptions import ConfigError

from flyball.errors import UsageError

_NO_CONFIG = "flyball needs a cluster: set $KUBECONFIG, give --kubeconfig FILE, or log in with your cloud's command"
_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_EXEC_API = "client.authentication.k8s.io/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The cluster, as it is shown before anything changes."""

    context: str
    server: str
    namespace: str
    """The context's own namespace; objects that name one go there."""
    source: str
    """The kubeconfig file, or "the pod's service account"."""
    config: SingleConfig
    proxy: str = ""

    def __str__(self) -> str:
        return f"context {self.context}, server {self.server}"


def find_target(
    *, context: str | None, kubeconfig: Path | None, environment: Mapping[str, str], home: Path, pod: Path | None = None
) -> Target:
    """The cluster that the command line, the environment and the files name. Raises UsageError where they name none.

    `pod` is the folder with a pod's service account; the usual one if it is not given.
    """
    files = _files(kubeconfig, environment, home)
    if not files:
        folder = Path(SERVICE_ACCOUNT) if pod is None else pod
        if context is None and (folder / "token").exists() and "KUBERNETES_SERVICE_HOST" in environment:
            return _pod_target(folder)
        raise UsageError("no kubeconfig: there is none in $KUBECONFIG, and no ~/.kube/config", fix=_NO_CONFIG)
    document = _merge([_read(file) for file in files])
    source = ", ".join(str(file) for file in files)
    return _choose(document, context, source)


def _files(kubeconfig: Path | None, environment: Mapping[str, str], home: Path) -> list[Path]:
    if kubeconfig is not None:
        return [kubeconfig.expanduser()]
    named = [Path(part).expanduser() for part in environment.get("KUBECONFIG", "").split(":") if part]
    if named:
        present = [file for file in named if file.exists()]
        if not present:
            what = f"$KUBECONFIG names {', '.join(map(str, named))}: no such file"
            raise UsageError(what, fix="correct $KUBECONFIG, or give --kubeconfig FILE")
        return present
    usual = home / ".kube" / "config"
    return [usual] if usual.exists() else []


def _read(file: Path) -> dict[str, Any]:
    """The file's document, with the paths in it made absolute: they are relative to the file."""
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"kubeconfig {file}: no such file", fix="correct --kubeconfig") from None
    except UnicodeDecodeError:
        raise UsageError(f"kubeconfig {file} is not UTF-8 text", fix=_NO_CONFIG) from None
    except OSError as error:
        raise UsageError(f"kubeconfig {file} cannot be read: {error.strerror}", fix="check its permissions") from None
    except yaml.YAMLError as error:
        line = str(error).replace("\n", " ")
        raise UsageError(f"kubeconfig {file} is not YAML: {line}", fix="repair the file") from None
    if not isinstance(document, dict) or not isinstance(document.get("clusters"), list):
        raise UsageError(f"kubeconfig {file} names no clusters: it is no kubeconfig", fix=_NO_CONFIG)
    for entry in [*document["clusters"], *(document.get("users") or [])]:
        for body in entry.values() if isinstance(entry, dict) else ():
            if isinstance(body, dict):
                body.update({key: str(file.parent.absolute() / body[key]) for key in _FILES if body.get(key)})
    return document


def _merge(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {"clusters": [], "contexts": [], "users": []}
    for document in documents:
        if document.get("current-context"):
            merged.setdefault("current-context", document["current-context"])
        for section in ("clusters", "contexts", "users"):
            known = {entry.get("name") for entry in merged[section]}
            entries = [entry for entry in document.get(section) or [] if isinstance(entry, dict)]
            merged[section] += [entry for entry in entries if entry.get("name") not in known]
    return merged


def _choose(document: Mapping[str, Any], context: str | None, source: str) -> Target:
    names = [str(entry.get("name")) for entry in document["contexts"]]
    chosen = context or document.get("current-context")
    if not chosen:
        raise UsageError(f"kubeconfig {source} has no current context", fix=f"add --context: {_listed(names)}")
    if chosen not in names:
        whose = "" if context else "the current context "
        raise UsageError(f"{whose}{chosen!r} is not in kubeconfig {source}", fix=f"there are: {_listed(names)}")
    try:
        config = KubeConfig.from_dict({**document}).get(chosen)
    except KeyError as error:
        what = f"kubeconfig {source}: context {chosen!r} refers to {error}, which is not in it"
        raise UsageError(what, fix="repair the file, or give another --context") from None
    except (ConfigError, msgspec.ValidationError, TypeError, AttributeError) as error:
        raise UsageError(f"kubeconfig {source}: {error}", fix="repair the file") from None
    assert config is not None  # it is None only without a context
    # lightkube asserts that there is a user; a server behind `kubectl proxy` needs none.
    config = config._replace(user=_known_plugin(config.user or User()))
    body = next(entry["cluster"] for entry in document["clusters"] if entry["name"] == config.context.cluster)
    return Target(
        context=chosen,
        server=config.cluster.server,
        namespace=config.namespace,
        source=source,
        config=config,
        proxy=str(body.get("proxy-url") or ""),
    )


def _known_plugin(user: User) -> User:
    """Credential plugins of v1 speak what lightkube knows as v1beta1; they learn the version from a variable."""
    if user.exec is None or user.exec.apiVersion != f"{_EXEC_API}v1":
        return user
    info = '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "spec": {"interactive": false}}'
    plugin = msgspec.structs.replace(
        user.exec,
        apiVersion=f"{_EXEC_API}v1beta1",
        env=[*(user.exec.env or []), NameValue(name="KUBERNETES_EXEC_INFO", value=info)],
    )
    return msgspec.structs.replace(user, exec=plugin)


def _pod_target(folder: Path) -> Target:
    try:
        config = KubeConfig.from_service_account(folder).get()
    except (ConfigError, KeyError, OSError) as error:
        raise UsageError(f"the pod's service account is not usable: {error}", fix=_NO_CONFIG) from None
    assert config is not None
    return Target(
        context="in-cluster",
        server=config.cluster.server,
        namespace=config.namespace,
        source="the pod's service account",
        config=config,
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
