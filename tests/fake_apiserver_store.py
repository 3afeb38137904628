"""The objects of the tests' API server: versions, events, server-side apply, deletion with its dependents."""

import copy
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

from fake_apiserver_apply import Manager, Owners, apply, managed_fields, update
from fake_apiserver_fields import dotted, schema_of, undeclared
from fake_apiserver_kinds import CORE, Kind, with_defaults
from flyball.scaling.quantity import parse_quantity

Object = dict[str, Any]
Place = tuple[str, str, str, str]
"""group, kind, namespace, name."""
_TIME = "2026-11-01T08:00:00Z"
# What an apply and a delete may not touch although it has no manager.
_SERVER_SIDE = ("uid", "creationTimestamp", "resourceVersion", "generation", "managedFields", "deletionTimestamp")


class RefusalError(Exception):
    """An answer with a status that is no success. `causes` go into the Status' details."""

    def __init__(self, status: int, reason: str, message: str, causes: list[Object] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.causes = causes or []


Reaction = Callable[["Store", str, Object], None]
"""Called after each change with (ADDED | MODIFIED | DELETED, the object): what a controller would notice."""


class Store:
    """All objects, as etcd and the registry keep them. Thread-safe through `changed`."""

    def __init__(self, kinds: tuple[Kind, ...] = CORE) -> None:
        self.kinds = list(kinds)
        self.changed = threading.Condition(threading.RLock())
        self.reactions: list[Reaction] = []
        self.steps: list[Callable[[], None]] = []
        """What is still to happen: each watch request lets the next one happen."""
        self.log: list[tuple[int, str, Place, Object]] = []
        self._objects: dict[Place, Object] = {}
        self._owners: dict[Place, Owners] = {}
        self._version = itertools.count(1)
        for name in ("default", "kube-system"):
            self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, manager="kube-apiserver")

    def kind_of(self, api_version: str, *, plural: str = "", kind: str = "") -> Kind | None:
        for each in self.kinds:
            if api_version in each.api_versions and (each.plural == plural or each.kind == kind):
                return each
        return None

    def get(self, kind: str, name: str, namespace: str = "") -> Object | None:
        """A copy of the object, by kind alone: no two groups here share one."""
        with self.changed:
            found = [body for place, body in self._objects.items() if place[1:] == (kind, namespace, name)]
            return copy.deepcopy(found[0]) if found else None

    def all(self, kind: str, namespace: str | None = None) -> list[Object]:
        """Copies of the kind's objects in name order."""
        with self.changed:
            places = sorted(place for place in self._objects if place[1] == kind and namespace in (None, place[2]))
            return [copy.deepcopy(self._objects[place]) for place in places]

    def apply(
        self, body: Object, *, manager: str = "flyball", force: bool = False, dry_run: bool = False
    ) -> tuple[Object, bool]:
        """Server-side apply; the object afterwards, and whether it was created."""
        with self.changed:
            place, live = self._find(body)
            _refuse_undeclared(body)
            body = {key: value for key, value in body.items() if key != "status"}
            entry = Manager(name=manager, operation="Apply", api_version=body["apiVersion"])
            result, owners = apply(live, self._owners.get(place, {}), body, entry, force=force)
            return self._write(place, live, result, owners, dry_run=dry_run), live is None

    def put(self, body: Object, *, manager: str = "kubectl", subresource: str = "") -> Object:
        """Create or replace the object as an Update by `manager`, status included."""
        with self.changed:
            place, live = self._find(body)
            body = with_defaults(body)  # of an update, unlike of an apply, the defaults are owned too
            for name in _SERVER_SIDE:
                if live is not None and name in live["metadata"]:
                    body["metadata"].setdefault(name, live["metadata"][name])
            entry = Manager(name=manager, operation="Update", api_version=body["apiVersion"], subresource=subresource)
            result, owners = update(live, self._owners.get(place, {}), body, entry)
            return self._write(place, live, result, owners, dry_run=False)

    def edit(
        self, kind: str, name: str, namespace: str, *, manager: str, subresource: str = "", **parts: Any
    ) -> Object:
        """Merge `parts` (spec=..., status=..., metadata=...) into the object as an Update by `manager`."""
        with self.changed:
            body = self.get(kind, name, namespace)
            assert body is not None, f"no {kind} {name} in {namespace!r}"
            return self.put(_merged(body, parts), manager=manager, subresource=subresource)

    def delete(self, kind: str, name: str, namespace: str = "") -> Object | None:
        """The object goes with what it owns (and a namespace with what is in it), unless a finalizer holds it."""
        with self.changed:
            place = next((place for place in self._objects if place[1:] == (kind, namespace, name)), None)
            if place is None:
                return None
            body = self._objects[place]
            if body["metadata"].get("finalizers"):
                return self.edit(kind, name, namespace, manager="kube-apiserver", metadata={"deletionTimestamp": _TIME})
            del self._objects[place]
            self._owners.pop(place, None)
            self._record("DELETED", place, body)
            uid = body["metadata"]["uid"]
            for other, dependent in list(self._objects.items()):
                owners = [owner.get("uid") for owner in dependent["metadata"].get("ownerReferences", [])]
                if uid in owners or (kind == "Namespace" and other[2] == name):
                    self.delete(other[1], other[3], other[2])
            return body

    def events_after(self, version: int, select: Callable[[Place, Object], bool]) -> Iterator[tuple[int, str, Object]]:
        """(resource version, type, object) of the selected changes since `version`."""
        for number, event, place, body in self.log:
            if number > version and select(place, body):
                yield number, event, body

    @property
    def version(self) -> int:
        return self.log[-1][0] if self.log else 0

    def step(self) -> None:
        """Let the next scripted thing happen, if there is one."""
        with self.changed:
            if self.steps:
                self.steps.pop(0)()

    def _find(self, body: Object) -> tuple[Place, Object | None]:
        kind = self.kind_of(body["apiVersion"], kind=body["kind"])
        if kind is None:
            raise RefusalError(404, "NotFound", "the server could not find the requested resource")
        namespace = body["metadata"].get("namespace", "") if kind.is_namespaced else ""
        if kind.is_namespaced and ("", "Namespace", "", namespace) not in self._objects:
            raise RefusalError(404, "NotFound", f'namespaces "{namespace}" not found')
        place = (kind.group, kind.kind, namespace, body["metadata"]["name"])
        return place, self._objects.get(place)

    def _write(self, place: Place, live: Object | None, result: Object, owners: Owners, *, dry_run: bool) -> Object:
        result = with_defaults(result)
        _forbid_changes_of_what_is_fixed(place, live, result)
        metadata = result["metadata"]
        metadata["managedFields"] = managed_fields(owners, _TIME)
        if live is None:
            number = next(self._version)
            metadata |= {"uid": f"uid-{number}", "creationTimestamp": _TIME, "generation": 1}
        elif result == live:
            return copy.deepcopy(live)  # nothing changed: no new version, as the real server does
        elif result.get("spec") != live.get("spec"):
            metadata["generation"] = live["metadata"].get("generation", 1) + 1
        if dry_run:
            return result
        number = next(self._version)
        metadata["resourceVersion"] = str(number)
        self._objects[place] = result
        self._owners[place] = owners
        self._record("ADDED" if live is None else "MODIFIED", place, result, number)
        return copy.deepcopy(result)

    def _record(self, event: str, place: Place, body: Object, number: int | None = None) -> None:
        self.log.append((next(self._version) if number is None else number, event, place, copy.deepcopy(body)))
        self.changed.notify_all()
        for reaction in self.reactions:
            reaction(self, event, copy.deepcopy(body))


def _forbid_changes_of_what_is_fixed(place: Place, live: Object | None, result: Object) -> None:
    fixed = {"Job": ("template",), "Deployment": ("selector",), "PersistentVolumeClaim": ("storageClassName",)}
    for field in fixed.get(place[1], ()) if live is not None else ():
        if (live or {})["spec"].get(field) != result["spec"].get(field):
            message = f'{place[1]}.{place[0]} "{place[3]}" is invalid: spec.{field}: Invalid value: field is immutable'
            cause = {"reason": "FieldValueInvalid", "message": "field is immutable", "field": f"spec.{field}"}
            raise RefusalError(422, "Invalid", message, [cause])
    if live is not None and place[1] == "PersistentVolumeClaim":
        before, after = (parse_quantity(each["spec"]["resources"]["requests"]["storage"]) for each in (live, result))
        if after < before:
            what = "spec.resources.requests.storage: Forbidden: field can not be less than previous value"
            raise RefusalError(422, "Invalid", f'PersistentVolumeClaim "{place[3]}" is invalid: {what}')


def _merged(body: Object, parts: Object) -> Object:
    for key, value in parts.items():
        both = isinstance(value, dict) and isinstance(body.get(key), dict)
        body[key] = _merged(body[key], value) if both else value
    return body


def _refuse_undeclared(body: Object) -> None:
    """As Kubernetes 1.36 answers a server-side apply; of custom resources no schema is known here."""
    group, kind = body["apiVersion"].rpartition("/")[0], body["kind"]
    if "." in group and not group.endswith(".k8s.io"):
        return
    found = next(undeclared(schema_of(body["apiVersion"], kind), body), None)
    if found is not None:
        metadata = body["metadata"]
        what = f"{metadata.get('namespace', '')}/{metadata['name']}; {body['apiVersion']}, Kind={kind}"
        message = f"failed to create typed patch object ({what}): {dotted(found)}: field not declared in schema"
        raise RefusalError(500, "", message)
