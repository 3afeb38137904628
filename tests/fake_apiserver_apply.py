"""Field ownership: what an apply or an update does to an object and to its managers. Values in, values out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fake_apiserver_fields import Path, leaves, merge, schema_of, to_fields_v1, without

Object = dict[str, Any]
_UNMANAGED = frozenset(
    {"name", "namespace", "uid", "creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manager:
    """Who owns fields: one name may have an entry for its applies, its updates, and each subresource."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""


Owners = Mapping[Manager, frozenset[Path]]


class ConflictError(Exception):
    """An apply would change fields of others."""

    def __init__(self, fields: tuple[tuple[Manager, Path], ...]) -> None:
        super().__init__(fields)
        self.fields = fields


def owned_paths(body: Object) -> frozenset[Path]:
    """The paths that whoever sends this object claims."""
    return frozenset(path for path, _ in leaves(schema_of(body["apiVersion"], body["kind"]), body) if _is_managed(path))


def _is_managed(path: Path) -> bool:
    first = path[0][1] if path else ""
    if first in ("apiVersion", "kind", ""):
        return False
    return not (first == "metadata" and (len(path) == 1 or path[1][1] in _UNMANAGED))


def apply(live: Object | None, owners: Owners, body: Object, manager: Manager, *, force: bool) -> tuple[Object, Owners]:
    """Server-side apply of `body` by `manager`. Raises ConflictError unless `force`."""
    node = schema_of(body["apiVersion"], body["kind"])
    before = live or {}
    claimed = owned_paths(body)
    result = merge(node, before, body)
    changed = _changed(node, before, result)
    conflicts = tuple((other, path) for other, paths in owners.items() if other != manager for path in paths & changed)
    if conflicts and not force:
        raise ConflictError(tuple(sorted(conflicts, key=lambda pair: (pair[0].name, repr(pair[1])))))
    others = {other: paths - changed for other, paths in owners.items() if other != manager}
    dropped = owners.get(manager, frozenset()) - claimed
    result = without(node, result, [path for path in dropped if not _is_held(path, [claimed, *others.values()])])
    result = merge(node, result, body)  # a map that is claimed empty stays
    return result, _still_there(node, result, {**others, manager: claimed})


def update(live: Object | None, owners: Owners, body: Object, manager: Manager) -> tuple[Object, Owners]:
    """What a PUT or a merge patch does: `body` is the whole new object, and whoever changes a field owns it."""
    node = schema_of(body["apiVersion"], body["kind"])
    changed = frozenset(path for path in _changed(node, live or {}, body) if _is_managed(path))
    others = {other: paths - changed for other, paths in owners.items() if other != manager}
    mine = owners.get(manager, frozenset()) | changed
    return body, _still_there(node, body, {**others, manager: mine})


def _changed(node: Mapping[str, Any], before: Object, after: Object) -> frozenset[Path]:
    """The paths that are new or have another value."""
    old = dict(leaves(node, before))
    return frozenset(path for path, value in leaves(node, after) if path not in old or old[path] != value)


def _is_held(path: Path, holders: list[frozenset[Path]]) -> bool:
    """Whether somebody owns the path or a part of what is at it."""
    return any(other[: len(path)] == path for paths in holders for other in paths)


def _still_there(node: Mapping[str, Any], body: Object, owners: Owners) -> Owners:
    there = {path for path, _ in leaves(node, body)}
    return {manager: kept for manager, paths in owners.items() if (kept := paths & there)}


def managed_fields(owners: Owners, time: str) -> list[Object]:
    """The owners as metadata.managedFields shows them."""
    return [
        {
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": manager.api_version,
            "time": time,
            "fieldsType": "FieldsV1",
            "fieldsV1": to_fields_v1(paths),
            **({"subresource": manager.subresource} if manager.subresource else {}),
        }
        for manager, paths in sorted(owners.items(), key=lambda pair: (pair[0].name, pair[0].operation))
    ]
