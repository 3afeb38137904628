"""HTTP in front of the store: paths, verbs, discovery, watches, Status documents."""

import json
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from fake_apiserver_apply import ConflictError
from fake_apiserver_fields import dotted
from fake_apiserver_kinds import Kind
from fake_apiserver_selectors import matches_fields, matches_labels
from fake_apiserver_store import Object, Place, RefusalError, Store

if TYPE_CHECKING:
    from fake_apiserver import FakeApiServer


class Handler(BaseHTTPRequestHandler):
    """One request. `server.fake` is the API server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for the client's delayed acknowledgement

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class' name
        """Silence."""

    def do_GET(self) -> None:
        try:
            self._handle()
        except (BrokenPipeError, ConnectionResetError):  # the client has hung up
            self.close_connection = True

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the base class' names

    @property
    def fake(self) -> "FakeApiServer":
        return self.server.fake  # type: ignore[attr-defined,no-any-return]

    @property
    def store(self) -> Store:
        return self.fake.store

    def _handle(self) -> None:
        from fake_apiserver import Request

        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self._query = dict(parse_qsl(parts.query))
        self._body: Any = json.loads(body) if body else None  # an apply is YAML; this client sends its subset JSON
        request = Request(
            method=self.command,
            path=unquote(parts.path),
            query=self._query,
            body=self._body,
            authorization=self.headers.get("authorization", ""),
        )
        try:
            if not self.fake.receive(request):
                self.close_connection = True
                self.connection.close()
                return
            self._route(request.path, parts.query)
        except RefusalError as error:
            self._status(error)
        except ConflictError as error:
            self._conflict(error)

    def _route(self, path: str, query: str) -> None:
        if path in self.fake.raw:
            answer = self.fake.raw_answer(path, query)
            if isinstance(answer, RefusalError):
                raise answer
            self._answer(answer)
            return
        steps = path.strip("/").split("/")
        root = 1 if steps[0] == "api" else 2
        if steps[0] not in ("api", "apis"):
            raise RefusalError(404, "NotFound", "the server could not find the requested resource")
        if len(steps) <= root + 1:
            self._answer(self._discovery(steps))
            return
        api_version = "/".join(steps[1 : root + 1])
        rest = steps[root + 1 :]
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        kind = self.store.kind_of(api_version, plural=rest[0])
        if kind is None:
            raise RefusalError(404, "NotFound", "the server could not find the requested resource")
        self._object(kind, api_version, namespace, rest[1:])

    def _discovery(self, steps: list[str]) -> Object:
        kinds = self.store.kinds
        if steps == ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        if steps == ["apis"]:
            groups = dict.fromkeys(kind.group for kind in kinds if kind.group)
            return {"kind": "APIGroupList", "groups": [self._group(group) for group in groups]}
        if steps[0] == "apis" and len(steps) == 2:
            return {"kind": "APIGroup", **self._group(steps[1])}
        api_version = "/".join(steps[1:])
        served = [kind for kind in kinds if api_version in kind.api_versions]
        if not served:
            raise RefusalError(404, "NotFound", "the server could not find the requested resource")
        resources: list[Object] = []
        for kind in served:
            entry = {"kind": kind.kind, "namespaced": kind.is_namespaced, "verbs": list(kind.verbs)}
            resources += [{"name": kind.plural, **entry}, {"name": f"{kind.plural}/status", **entry}]
        return {"kind": "APIResourceList", "groupVersion": api_version, "resources": resources}

    def _group(self, group: str) -> Object:
        versions = list(dict.fromkeys(v for kind in self.store.kinds if kind.group == group for v in kind.api_versions))
        if not versions:
            raise RefusalError(404, "NotFound", "the server could not find the requested resource")
        entries = [{"groupVersion": version, "version": version.rpartition("/")[2]} for version in versions]
        return {"name": group, "versions": entries, "preferredVersion": entries[0]}

    def _object(self, kind: Kind, api_version: str, namespace: str, rest: list[str]) -> None:
        name, subresource = (*rest, "", "")[:2]
        verb = {"GET": "get" if name else "list", "POST": "create", "PUT": "update", "PATCH": "patch"}.get(
            self.command, "delete"
        )
        if verb == "list" and self._query.get("watch") == "true":
            verb = "watch"
        self.fake.authorize(verb, kind, namespace)
        match verb:
            case "watch":
                self._watch(kind, api_version, namespace)
            case "list":
                self._list(kind, api_version, namespace)
            case "get":
                self._answer(self._present(kind, api_version, namespace, name))
            case "create" if kind.kind == "SelfSubjectAccessReview":
                self._review()
            case "delete":
                self._delete(kind, namespace, name)
            case _:
                self._write(kind, api_version, namespace, name, subresource)

    def _present(self, kind: Kind, api_version: str, namespace: str, name: str) -> Object:
        body = self.store.get(kind.kind, name, namespace)
        if body is None:
            resource = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
            raise RefusalError(404, "NotFound", f'{resource} "{name}" not found')
        return {**body, "apiVersion": api_version}

    def _selects(self, kind: Kind, namespace: str) -> Callable[[Place, Object], bool]:
        labels, fields = self._query.get("labelSelector", ""), self._query.get("fieldSelector", "")

        def select(place: Place, body: Object) -> bool:
            here = place[:2] == (kind.group, kind.kind) and namespace in ("", place[2])
            return here and matches_labels(labels, body) and matches_fields(fields, body)

        return select

    def _list(self, kind: Kind, api_version: str, namespace: str) -> None:
        with self.store.changed:
            select = self._selects(kind, namespace)
            place = (kind.group, kind.kind)
            found = [
                body
                for body in self.store.all(kind.kind, namespace or None)
                if select((*place, body["metadata"].get("namespace", ""), ""), body)
            ]
            version = self.store.version
        limit, start = int(self._query.get("limit", "0")), int(self._query.get("continue", "0"))
        page = found[start : start + limit] if limit else found
        metadata: Object = {"resourceVersion": str(version)}
        if limit and start + limit < len(found):
            metadata["continue"] = str(start + limit)
        items = [{key: value for key, value in body.items() if key not in ("apiVersion", "kind")} for body in page]
        self._answer({"kind": f"{kind.kind}List", "apiVersion": api_version, "metadata": metadata, "items": items})

    def _watch(self, kind: Kind, api_version: str, namespace: str) -> None:
        select = self._selects(kind, namespace)
        end = time.monotonic() + float(self._query.get("timeoutSeconds", "30"))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        with self.store.changed:
            since = int(self._query.get("resourceVersion") or -1)
            if since < 0:
                since = self.store.version
                for body in self.store.all(kind.kind, namespace or None):
                    if select((kind.group, kind.kind, body["metadata"].get("namespace", ""), ""), body):
                        self._event("ADDED", {**body, "apiVersion": api_version})
            self.store.step()
            while not self.fake.stopping and time.monotonic() < end:
                for number, event, body in list(self.store.events_after(since, select)):
                    since = number
                    self._event(event, {**body, "apiVersion": api_version})
                self.store.changed.wait(max(0.0, min(0.5, end - time.monotonic())))
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, event: str, body: Object) -> None:
        line = json.dumps({"type": event, "object": body}).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        self.wfile.flush()

    def _review(self) -> None:
        asked = self._body["spec"].get("resourceAttributes", {})
        resource = asked.get("resource", "") + (f".{asked['group']}" if asked.get("group") else "")
        allowed = self.fake.is_allowed(asked.get("verb", ""), resource, asked.get("namespace", ""))
        self._answer({**self._body, "status": {"allowed": allowed}}, 201)

    def _delete(self, kind: Kind, namespace: str, name: str) -> None:
        body = self._present(kind, kind.api_versions[0], namespace, name)
        wanted = ((self._body or {}).get("preconditions") or {}).get("uid")
        if wanted and wanted != body["metadata"]["uid"]:
            raise RefusalError(409, "Conflict", f"the UID in the precondition ({wanted}) does not match")
        if "dryRun" not in self._query:
            self.store.delete(kind.kind, name, namespace)
        self._answer({"kind": "Status", "status": "Success"})

    def _write(self, kind: Kind, api_version: str, namespace: str, name: str, subresource: str) -> None:
        body: Object = self._body
        self.fake.admit(body)
        manager = self._query.get("fieldManager", "unknown")
        is_dry = "dryRun" in self._query
        body.setdefault("metadata", {})
        body = {**body, "apiVersion": api_version, "kind": kind.kind}
        if kind.is_namespaced:
            body["metadata"] = {**body["metadata"], "namespace": namespace}
        if self.headers.get("content-type") == "application/apply-patch+yaml":
            force = self._query.get("force") == "true"
            result, is_new = self.store.apply(body, manager=manager, force=force, dry_run=is_dry)
            self._answer(result, 201 if is_new else 200)
        elif self.command == "PATCH":
            parts = {key: value for key, value in self._body.items() if key in ("spec", "status", "metadata")}
            self._present(kind, api_version, namespace, name)
            edited = self.store.edit(kind.kind, name, namespace, manager=manager, subresource=subresource, **parts)
            self._answer(edited)
        else:
            if self.command == "POST" and self.store.get(kind.kind, body["metadata"]["name"], namespace):
                raise RefusalError(409, "AlreadyExists", f'{kind.plural} "{body["metadata"]["name"]}" already exists')
            self._answer(self.store.put(body, manager=manager), 201 if self.command == "POST" else 200)

    def _conflict(self, error: ConflictError) -> None:
        causes = []
        for manager, path in error.fields:
            via = f' with subresource "{manager.subresource}"' if manager.subresource else ""
            when = f" using {manager.api_version}" if manager.operation == "Update" else ""
            message = f'conflict with "{manager.name}"{via}{when}'
            causes.append({"reason": "FieldManagerConflict", "message": message, "field": dotted(path)})
        text = "; ".join(f"{cause['message']}: {cause['field']}" for cause in causes)
        self._status(RefusalError(409, "Conflict", f"Apply failed with {len(causes)} conflicts: {text}", causes))

    def _status(self, error: RefusalError) -> None:
        document = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": error.message}
        self._answer(
            {**document, "reason": error.reason, "code": error.status, "details": {"causes": error.causes}},
            error.status,
        )

    def _answer(self, document: Any, status: int = 200) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
