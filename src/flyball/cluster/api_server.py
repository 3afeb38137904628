"""An API server, spoken to in plain objects.

lightkube reads the credentials and makes the authenticated HTTP client; the requests are ours, because the objects
are plain dictionaries of kinds that are only known by discovery, and because every failure has to come back as one of
`flyball.cluster.refusals`. Nothing is retried: what failed is told, and running the verb again goes on where it
stopped.
"""

import json
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Self

import httpx2
from lightkube.config import client_adapter
from lightkube.core.exceptions import ConfigError

from flyball.cluster.discovery import Discovery, ServedKind
from flyball.cluster.kubeconfig import Target
from flyball.cluster.objects import ObjectKey, PlainObject, key_of
from flyball.cluster.refusals import Call, RefusedError, refusal, transport_error
from flyball.errors import OutsideError

FIELD_MANAGER = "flyball"
PAGE = 500  # objects an answer, as kubectl asks for
_APPLY = "application/apply-patch+yaml"  # JSON is YAML
_EXPIRED = 410
_BROKEN = (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, ConfigError, OSError)


class ApiServer(AbstractContextManager["ApiServer"]):
    """A connection to one API server. Every method raises UnreachableError and RefusedError.

    `timeout_s` bounds the silence within one request. Use it as a context manager, or call `close`.
    """

    def __init__(self, target: Target, *, timeout_s: float = 30.0) -> None:
        self.target = target
        settings = client_adapter.ConnectionParams(timeout=httpx2.Timeout(timeout_s), proxy=target.proxy or None)
        try:
            self._http = client_adapter.Client(target.config, settings)
        except (ConfigError, OSError, ValueError) as error:
            what = f"the kubeconfig's certificates for {target.server} cannot be read: {error}"
            raise OutsideError(what, fix=f"repair {target.source}") from error
        self.discovery = Discovery(self.read)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def read(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        """The JSON behind any path (discovery, /version, a service's proxy, metrics); None if there is none."""
        return self._json(
            "GET", path, Call(server=self.target.server, verb="get", resource=path), parameters=parameters
        )

    def get(self, key: ObjectKey) -> dict[str, Any] | None:
        """The object, or None if it, or its kind, does not exist."""
        served = self.discovery.kind(key.api_version, key.kind)
        if served is None:
            return None
        answer = self._json("GET", served.path(key.namespace, key.name), self._call("get", served, key))
        return None if answer is None else dict(answer)

    def list(
        self,
        api_version: str,
        kind: str,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """The objects of a kind in a namespace or in all; none where the kind is not served.

        `labels` and `fields` are selectors in kubectl's notation. `limit` stops after the first page of that size.
        """
        served = self.discovery.kind(api_version, kind)
        if served is None:
            return []
        call = self._call("list", served, ObjectKey(api_version=api_version, kind=kind, name="", namespace=namespace))
        parameters = {"limit": str(limit or PAGE), "labelSelector": labels, "fieldSelector": fields}
        parameters = {name: value for name, value in parameters.items() if value}
        found: list[dict[str, Any]] = []
        while True:
            page = self._json("GET", served.path(namespace), call, parameters=parameters) or {}
            # A list's items come without what the list says for all of them.
            found += [{"apiVersion": api_version, "kind": kind, **item} for item in page.get("items") or []]
            rest = (page.get("metadata") or {}).get("continue")
            if not rest or limit:
                return found
            parameters = {**parameters, "continue": rest}

    def apply(
        self, body: PlainObject, *, dry_run: bool = False, force: bool = False, manager: str = FIELD_MANAGER
    ) -> dict[str, Any]:
        """Server-side apply; the object as it is (or, in a dry run, would be) afterwards.

        Raises FieldConflictError where other managers own fields with other values, unless `force` takes them.
        """
        served, key = self._served(body)
        parameters = {"fieldManager": manager, "force": str(force).lower(), "fieldValidation": "Strict"}
        if dry_run:
            parameters["dryRun"] = "All"
        call = self._call("patch", served, key)
        path = served.path(key.namespace, key.name)
        answer = self._json("PATCH", path, call, parameters=parameters, body=body, content_type=_APPLY)
        return dict(self._present(answer, call))

    def create(self, body: PlainObject) -> dict[str, Any]:
        """A new object, such as a SelfSubjectAccessReview, as the API server returns it."""
        served, key = self._served(body)
        call = self._call("create", served, key)
        answer = self._json(
            "POST", served.path(key.namespace), call, parameters={"fieldManager": FIELD_MANAGER}, body=body
        )
        return dict(self._present(answer, call))

    def delete(self, key: ObjectKey, *, uid: str = "") -> bool:
        """Ask for the object's deletion, with what belongs to it in the background; False if it is not there.

        With `uid`, only that very object: one that was created anew under the same name is left alone.
        """
        served = self.discovery.kind(key.api_version, key.kind)
        if served is None:
            return False
        options: dict[str, Any] = {"propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        call = self._call("delete", served, key)
        return self._json("DELETE", served.path(key.namespace, key.name), call, body=options) is not None

    def watch(
        self, api_version: str, kind: str, *, namespace: str = "", name: str = "", since: str = "", timeout_s: int = 10
    ) -> Generator[tuple[str, dict[str, Any]], None, None]:
        """(ADDED | MODIFIED | DELETED, object) as they happen; ends after `timeout_s`.

        Begins with what is there, or with what happens after the resource version `since`; ends at once where the API
        server has forgotten that version.
        """
        served = self.discovery.kind(api_version, kind)
        if served is None:
            return
        key = ObjectKey(api_version=api_version, kind=kind, name=name, namespace=namespace)
        call = self._call("watch", served, key)
        parameters = {"watch": "true", "timeoutSeconds": str(max(1, timeout_s))}
        parameters |= {"fieldSelector": f"metadata.name={name}"} if name else {}
        parameters |= {"resourceVersion": since} if since else {}
        try:
            with self._http.stream("GET", served.path(namespace), params=parameters) as response:
                if response.status_code >= 300:
                    raise refusal(response.status_code, response.read(), call)
                for line in response.iter_lines():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        status = event["object"]
                        if status.get("code") == _EXPIRED:
                            return
                        raise refusal(int(status.get("code") or 500), json.dumps(status).encode(), call)
                    if event["type"] != "BOOKMARK":
                        yield event["type"], event["object"]
        except _BROKEN as error:
            raise transport_error(error, call) from error
        except (ValueError, KeyError) as error:
            raise transport_error(httpx2.RemoteProtocolError("the watch was cut within an event"), call) from error

    def _served(self, body: PlainObject) -> tuple[ServedKind, ObjectKey]:
        key = key_of(body)
        served = self.discovery.kind(key.api_version, key.kind)
        if served is None:
            what = f"{self.target.server} does not serve {key.kind} of {key.api_version}"
            raise RefusedError(what, fix="install what defines it", status=404, reason="NotFound")
        return served, key

    def _call(self, verb: str, served: ServedKind, key: ObjectKey) -> Call:
        namespace = key.namespace if served.is_namespaced else ""
        return Call(server=self.target.server, verb=verb, resource=served.resource, namespace=namespace, name=key.name)

    def _present(self, answer: Any, call: Call) -> Any:
        if answer is None:
            raise refusal(404, b"", call)
        return answer

    def _json(
        self,
        method: str,
        path: str,
        call: Call,
        *,
        parameters: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Any:
        content = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json"} | ({"Content-Type": content_type} if body is not None else {})
        try:
            answer = self._http.request(method, path, params=parameters, content=content, headers=headers)
        except _BROKEN as error:
            raise transport_error(error, call) from error
        if answer.status_code == 404 and method in ("GET", "DELETE"):
            return None
        if answer.status_code >= 300:
            raise refusal(answer.status_code, answer.content, call)
        try:
            return answer.json()
        except ValueError:
            what = f"{call.server} answers {call} with something other than JSON"
            raise RefusedError(what, fix="is the server of this context a Kubernetes API server?", status=200) from None
