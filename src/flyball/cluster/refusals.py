"""What an API server, or the way to it, can do to us, each as an error with what, where and a way out.

    OutsideError
    ├── UnreachableError         no answer: no connection, TLS, a timeout, a connection that broke half-way
    └── RefusedError             the API server answered with an error; `status`, `reason`, `causes` are its words
        ├── ForbiddenError       403: `verb`, `resource` and `namespace` say which permission is missing
        └── FieldConflictError   409 of a server-side apply: `conflicts` names the other managers and their fields

A 404 of an object that is asked for is no error but None; everything else that lightkube or its HTTP client raises is
turned into one of these, so that neither shows above this package.
"""

import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
from lightkube.core.exceptions import ConfigError

from flyball.errors import OutsideError

_CONFLICT = re.compile(r'conflict with "(?P<manager>[^"]*)"(?: with subresource "(?P<subresource>[^"]*)")?')
_WORTH_A_RETRY = (429, 500, 502, 503, 504)


class UnreachableError(OutsideError):
    """No answer came; whether a write was done is unknown."""


class RefusedError(OutsideError):
    """The API server's answer was an error."""

    def __init__(
        self, what: str, *, fix: str = "", status: int, reason: str = "", causes: tuple[Mapping[str, Any], ...] = ()
    ) -> None:
        super().__init__(what, fix=fix)
        self.status = status
        self.reason = reason
        self.causes = causes


class ForbiddenError(RefusedError):
    """The user of the kubeconfig may not do this."""

    def __init__(self, what: str, *, fix: str, verb: str, resource: str, namespace: str) -> None:
        super().__init__(what, fix=fix, status=403, reason="Forbidden")
        self.verb = verb
        self.resource = resource
        self.namespace = namespace


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """One field that another manager owns with another value. `field` is a path such as .spec.replicas."""

    manager: str
    field: str
    subresource: str = ""


class FieldConflictError(RefusedError):
    """Other managers own fields that we would set to other values."""

    def __init__(self, what: str, *, fix: str, conflicts: tuple[Conflict, ...]) -> None:
        super().__init__(what, fix=fix, status=409, reason="Conflict")
        self.conflicts = conflicts


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, in the words of Kubernetes, for messages and permissions."""

    server: str
    verb: str
    """get, list, watch, patch, create, delete."""
    resource: str
    """The plural with its group, as in RBAC: deployments.apps."""
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        place = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.resource}{f' {self.name}' if self.name else ''}{place}"


def transport_error(error: Exception, call: Call) -> UnreachableError:
    """The error of a request that got no complete answer."""
    where = f"{call.server} ({call})"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            what = f"TLS with {where} failed: {getattr(cause, 'verify_message', '') or cause.reason or cause}"
            return UnreachableError(
                what, fix="check the context's certificate-authority-data, and that this is your cluster"
            )
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, ConfigError | FileNotFoundError | PermissionError):
        what = f"the kubeconfig's credentials for {call.server} cannot be had: {error}"
        return UnreachableError(what, fix="log in to the cluster again, and check with `kubectl auth whoami`")
    if isinstance(error, httpx2.ConnectTimeout | httpx2.ConnectError):
        detail = str(error) or "no answer to the connection"
        return UnreachableError(
            f"cannot reach the API server {where}: {detail}",
            fix="check that the cluster runs, the VPN, and the context (`kubectl config get-contexts`)",
        )
    if isinstance(error, httpx2.TimeoutException):
        return UnreachableError(
            f"no answer in time from {where}", fix="the API server is overloaded or gone; run this again"
        )
    return UnreachableError(
        f"the connection broke: {where}: {str(error) or type(error).__name__}",
        fix="run this again: what is done already is left alone",
    )


def refusal(status: int, body: bytes, call: Call) -> RefusedError:
    """The error that a non-2xx answer stands for. `body` is a Kubernetes Status, or anything a proxy may say."""
    document = _status(body)
    said = str(document.get("message") or body[:200].decode(errors="replace") or f"HTTP {status}")
    message = " ".join(said.split())  # of an immutable field the API server prints a difference over many lines
    reason = str(document.get("reason") or "")
    causes = tuple(each for each in (document.get("details") or {}).get("causes") or () if isinstance(each, Mapping))
    if status == 401:
        return RefusedError(
            f"{call.server} does not know the kubeconfig's user (401): {call}",
            fix="the credentials are wrong or have expired: log in again",
            status=status,
            reason=reason or "Unauthorized",
        )
    if status == 403 and not _is_policy(message):
        return ForbiddenError(
            f"no permission to {call} on {call.server}: {message}",
            fix=f"ask for the verb {call.verb} on {call.resource}{_scope(call)}, or use another context",
            verb=call.verb,
            resource=call.resource,
            namespace=call.namespace,
        )
    conflicts = tuple(_conflict(cause) for cause in causes if cause.get("reason") == "FieldManagerConflict")
    if status == 409 and conflicts:
        owners = "; ".join(f"{each.manager} owns {each.field}" for each in conflicts)
        return FieldConflictError(
            f"{call.resource} {call.name}: {owners}",
            fix="--force-conflicts takes the fields; or drop them here, or there",
            conflicts=conflicts,
        )
    fix = _fix(status, message)
    what = f"{call.server} refused to {call} ({status} {reason or 'error'}): {message}"
    return RefusedError(what, fix=fix, status=status, reason=reason, causes=causes)


def _status(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, Mapping) else {}


def _conflict(cause: Mapping[str, Any]) -> Conflict:
    match = _CONFLICT.search(str(cause.get("message", "")))
    return Conflict(
        manager=match["manager"] if match else "another manager",
        subresource=(match["subresource"] or "") if match else "",
        field=str(cause.get("field", "")),
    )


def _is_policy(message: str) -> bool:
    """403 is also the answer of quotas, Pod Security and admission webhooks: no permission would help there."""
    words = ("exceeded quota", "violates PodSecurity", "admission webhook", "being terminated")
    return any(each in message for each in words)


def _scope(call: Call) -> str:
    return f" in namespace {call.namespace}" if call.namespace else " in the whole cluster"


def _fix(status: int, message: str) -> str:
    if "immutable" in message:
        return "the field cannot change in place: delete the object first, or give it another name"
    if "exceeded quota" in message:
        return "raise the namespace's ResourceQuota, or ask for less"
    if "unknown field" in message or "field not declared in schema" in message:  # a 500 it is, of a server-side apply
        return "the cluster knows another release of this kind than the objects are for: upgrade what defines it"
    if "being terminated" in message:
        return "the namespace is being deleted: run this again when it is gone"
    if status == 404 and "namespaces" in message:
        return "the namespace does not exist: create it, or have it among the objects"
    if status in _WORTH_A_RETRY:
        return "the API server is in trouble; run this again later"
    return "the message is the API server's own"
