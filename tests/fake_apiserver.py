"""A small Kubernetes API server in memory: a real HTTP server on loopback, for tests of what talks to a cluster.

It serves discovery, get, list, watch, create, server-side apply with field ownership and conflicts, dry runs, merge
patches, status and scale, deletion with dependents, access reviews, and what a test scripts: permissions that are
missing, refusals by admission, failures, and the steps that controllers would take (`fake_apiserver_controllers`).

    with FakeApiServer() as server:
        server.store.put({...})                      # what is in the cluster, as somebody else's update
        run(["status", "spec.yaml", "--kubeconfig", str(server.kubeconfig(tmp_path / "config"))])
        assert server.writes == []
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl

import yaml

from fake_apiserver_controllers import keda_admission
from fake_apiserver_http import Handler
from fake_apiserver_kinds import CORE, KARPENTER, KEDA, PROMETHEUS_OPERATOR, Kind
from fake_apiserver_store import Object, RefusalError, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    authorization: str = ""

    @property
    def is_write(self) -> bool:
        """Whether it could change something: no dry run and no access review."""
        reads = self.method == "GET" or "selfsubjectaccessreviews" in self.path
        return not reads and "dryRun" not in self.query


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Permissions to withhold: a verb (or *) on a resource such as deployments.apps (or *) in a namespace (or all)."""

    verb: str
    resource: str
    namespace: str | None = None

    def forbids(self, verb: str, resource: str, namespace: str) -> bool:
        return self.verb in ("*", verb) and self.resource in ("*", resource) and self.namespace in (None, namespace)


class FakeApiServer:
    """The server; `with` starts and stops it. With `custom=False` no CRD is installed."""

    def __init__(self, *, custom: bool = True, kinds: tuple[Kind, ...] = ()) -> None:
        extra = (*KEDA, *PROMETHEUS_OPERATOR, *KARPENTER) if custom else ()
        self.store = Store((*CORE, *extra, *kinds))
        self.requests: list[Request] = []
        self.token = "a-token"
        self.raw: dict[str, Any] = {"/version": {"major": "1", "minor": "36", "gitVersion": "v1.36.1"}}
        """Answers of paths that are no objects: a document, or a function of the query."""
        self.latency_s = 0.0
        self._rules: list[Rule] = []
        self._denials: list[tuple[str, RefusalError]] = []
        self._failures: list[tuple[int, str]] = []
        self._lives: int | None = None
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._http.fake = self  # type: ignore[attr-defined]
        self.stopping = False

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping = True
        with self.store.changed:
            self.store.changed.notify_all()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    @property
    def writes(self) -> list[Request]:
        """The requests that could change something, in order."""
        return [request for request in self.requests if request.is_write]

    def kubeconfig(self, path: Path, *, context: str = "test", namespace: str = "", token: str = "") -> Path:
        """Write a kubeconfig for this server to `path`."""
        body = {"cluster": "fake", "user": "tester"} | ({"namespace": namespace} if namespace else {})
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": context,
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "tester", "user": {"token": token or self.token}}],
            "contexts": [{"name": context, "context": body}],
        }
        path.write_text(yaml.safe_dump(document))
        return path

    def forbid(self, verb: str, resource: str, namespace: str | None = None) -> None:
        """Withhold a permission; access reviews say so too."""
        self._rules.append(Rule(verb=verb, resource=resource, namespace=namespace))

    def deny(self, kind: str, message: str, *, status: int = 422, reason: str = "Invalid") -> None:
        """Let admission refuse every write of this kind, dry runs too."""
        self._denials.append((kind, RefusalError(status, reason, message)))

    def fail(self, status: int, *, times: int = 1, method: str = "") -> None:
        """Answer the next `times` requests (of this method) with a server's error."""
        self._failures += [(status, method)] * times

    def die_after(self, requests: int) -> None:
        """Break every connection after this many more requests, until `revive`."""
        self._lives = requests

    def revive(self) -> None:
        """Answer again."""
        self._lives = None

    def receive(self, request: Request) -> bool:
        """Note a request; False if the server is dead. Raises RefusalError for failures that are scripted."""
        if self.latency_s:
            time.sleep(self.latency_s)
        if self._lives is not None:
            if self._lives <= 0:
                return False
            self._lives -= 1
        self.requests.append(request)
        for failure in self._failures:
            if failure[1] in ("", request.method):
                self._failures.remove(failure)
                raise RefusalError(failure[0], "InternalError", "etcdserver: request timed out")
        if request.authorization != f"Bearer {self.token}":
            raise RefusalError(401, "Unauthorized", "Unauthorized")
        return True

    def is_allowed(self, verb: str, resource: str, namespace: str) -> bool:
        return not any(rule.forbids(verb, resource, namespace) for rule in self._rules)

    def authorize(self, verb: str, kind: Kind, namespace: str) -> None:
        """Raises RefusalError(403) in the words of the real server."""
        resource = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
        if self.is_allowed(verb, resource, namespace):
            return
        place = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
        message = (
            f'{resource} is forbidden: User "tester" cannot {verb} resource "{kind.plural}" '
            f'in API group "{kind.group}"{place}'
        )
        raise RefusalError(403, "Forbidden", message)

    def admit(self, body: Object) -> None:
        for kind, refusal in self._denials:
            if body.get("kind") == kind:
                raise refusal
        if body.get("kind") == "ScaledObject":
            keda_admission(self.store, body)

    def raw_answer(self, path: str, query: str) -> Any:
        answer = self.raw[path]
        return answer(dict(parse_qsl(query))) if isinstance(answer, Callable) else answer  # type: ignore[arg-type]
