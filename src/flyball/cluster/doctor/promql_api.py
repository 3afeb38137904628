"""Asks Prometheus: at a URL, or through the API server's proxy of a Service. A failure is a value with a way out."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias
from urllib.parse import SplitResult, urlsplit

import httpx2

from flyball.cluster.api_server import ApiServer
from flyball.cluster.doctor.facts import Answer, PrometheusFacts, Sample, Target
from flyball.cluster.doctor.reading import rows, table, text
from flyball.cluster.objects import ObjectKey
from flyball.cluster.refusals import ForbiddenError, RefusedError, UnreachableError
from flyball.errors import OutsideError

TIMEOUT_S = 15.0
_UNAUTHORIZED = 401
_BY_HAND = "--prometheus URL, for example of `kubectl port-forward` to it"


Reader: TypeAlias = Callable[[str, Mapping[str, str]], Any]
"""GET of a path of Prometheus' HTTP API: the JSON there, or None for a 404. Raises OutsideError."""


def ask(reader: Reader, address: str, queries: Sequence[str], pools: Sequence[str]) -> PrometheusFacts:
    """The answers to all queries, and the targets of the scrape pools; or why there are none."""
    try:
        first = reader("/api/v1/query", {"query": "vector(1)"})
    except OutsideError as error:
        wants_login = isinstance(error, RefusedError) and error.status == _UNAUTHORIZED
        what = "401: what is behind the Service wants a login" if wants_login else error.what
        return PrometheusFacts(address=address, error=what, fix=_fix(error))
    if table(first).get("status") != "success":
        answered = "404 for /api/v1/query" if first is None else "something other than Prometheus' API"
        return PrometheusFacts(address=address, error=answered, fix=f"correct the address and its path, or {_BY_HAND}")
    return PrometheusFacts(
        address=address,
        answers={query: _answer(reader, query) for query in queries},
        targets=_targets(reader, pools),
    )


def _fix(error: OutsideError) -> str:
    if isinstance(error, ForbiddenError):
        return f"ask for get on services/proxy, or {_BY_HAND}"
    if isinstance(error, RefusedError):
        return f"is its Service there, with endpoints? {_BY_HAND} goes around it"
    return error.fix or _BY_HAND


def _answer(reader: Reader, query: str) -> Answer:
    try:
        document = reader("/api/v1/query", {"query": query})
    except OutsideError as error:
        return Answer(error=error.what)
    data = table(document, "data")
    if text(document, "status") != "success":
        return Answer(error=text(document, "error") or "no answer that is Prometheus'")
    if data.get("resultType") == "scalar":
        return Answer(samples=(Sample(labels={}, value=float(data["result"][1])),))
    found = (Sample(labels=table(each, "metric"), value=float(rows(each, "value")[1])) for each in rows(data, "result"))
    return Answer(samples=tuple(found))


def _targets(reader: Reader, pools: Sequence[str]) -> tuple[Target, ...] | None:
    found: dict[str, Target] = {}
    for pool in pools:
        try:
            document = reader("/api/v1/targets", {"state": "active", "scrapePool": pool})
        except OutsideError:
            return None
        if text(document, "status") != "success":
            return None
        for each in rows(document, "data", "activeTargets"):
            target = Target(
                pool=text(each, "scrapePool"),
                labels=table(each, "labels"),
                health=text(each, "health"),
                last_error=text(each, "lastError"),
            )
            found[f"{target.pool} {text(each, 'scrapeUrl')}"] = target
    return tuple(found.values())


def service_of(address: str, namespace: str) -> ObjectKey | None:
    """The Service whose address it is, seen from `namespace`; None if it is not the address of one."""
    parts = (urlsplit(address).hostname or "").split(".")
    is_service = (len(parts) > 2 and parts[2] == "svc") or len(parts) <= 2
    if not parts[0] or parts == ["localhost"] or not is_service:
        return None
    where = parts[1] if len(parts) > 1 else namespace
    return ObjectKey(api_version="v1", kind="Service", name=parts[0], namespace=where)


def service_path(address: str, namespace: str) -> str | None:
    """The API server's path to a Service's address; None if it is not the address of a Service.

    That of `http://prom.metrics.svc:9090` is `/api/v1/namespaces/metrics/services/prom:9090/proxy`.
    """
    service, url = service_of(address, namespace), urlsplit(address)
    if service is None:
        return None
    name = f"{'https:' if url.scheme == 'https' else ''}{service.name}:{_port(url)}"
    return f"/api/v1/namespaces/{service.namespace}/services/{name}/proxy{url.path.rstrip('/')}"


def _port(url: SplitResult) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def through(api: ApiServer, path: str) -> Reader:
    """Reads through the API server's proxy of a Service; `path` as from `service_path`."""

    def read(inner: str, parameters: Mapping[str, str]) -> Any:
        return api.read(f"{path}{inner}", parameters)

    return read


@contextmanager
def directly(address: str) -> Iterator[Reader]:
    """Reads at a URL, which may hold a user and a password."""
    with httpx2.Client(timeout=TIMEOUT_S) as client:

        def read(path: str, parameters: Mapping[str, str]) -> Any:
            try:
                answer = client.get(f"{address.rstrip('/')}{path}", params=dict(parameters))
            except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
                what = f"no answer from {address}: {str(error) or type(error).__name__}"
                raise UnreachableError(what, fix="check the address; is the port-forward still running?") from error
            if answer.status_code == 404:
                return None
            try:
                return answer.json()  # an error of Prometheus' own is JSON too
            except json.JSONDecodeError as error:
                what = f"{address} answers {answer.status_code} with something other than JSON"
                raise RefusedError(
                    what, status=answer.status_code, fix="is that Prometheus, without a login?"
                ) from error

        yield read
