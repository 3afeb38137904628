"""Who owns which fields of an object: metadata.managedFields, read.

Server-side apply notes for every manager the fields that it set (Kubernetes: "Server-Side Apply", `fieldsV1`). A field
is a path: names in maps, keys in lists that are maps, values in lists that are sets.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flyball.cluster.objects import PlainObject, dig

# The only list key that an object may leave out: core/v1 defaults the protocol of a port.
_KEY_DEFAULTS = {"protocol": "TCP"}


class Missing:
    """The type of `MISSING`: there is no value at a path, which is not the same as null."""

    def __repr__(self) -> str:
        return "-"


MISSING = Missing()


@dataclass(frozen=True, slots=True)
class Item:
    """A step into a list: the item with these keys, or, without keys, the item that equals `value`."""

    keys: tuple[tuple[str, Any], ...] = ()
    value: Any = None

    def is_at(self, item: Any) -> bool:
        if not self.keys:
            return bool(item == self.value)
        if not isinstance(item, Mapping):
            return False
        return all(item.get(key, _KEY_DEFAULTS.get(key)) == value for key, value in self.keys)

    def __str__(self) -> str:
        pairs = self.keys or (("", self.value),)
        return "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in pairs) + "]"


Step = str | Item


@dataclass(frozen=True, slots=True)
class Field:
    """A path into an object; `str` gives it as the API server's conflicts do: .spec.containers[name="vllm"].image."""

    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return "".join(str(step) if isinstance(step, Item) else f".{step}" for step in self.steps)

    @property
    def is_item(self) -> bool:
        """Whether this is an item of a list as a whole: it is there or not; its fields are paths of their own."""
        return isinstance(self.steps[-1], Item) and bool(self.steps[-1].keys)

    def is_within(self, other: "Field") -> bool:
        return len(self.steps) > len(other.steps) and self.steps[: len(other.steps)] == other.steps


def owned_fields(body: PlainObject, manager: str) -> frozenset[Field]:
    """The fields that `manager` owns by server-side apply."""
    fields: set[Field] = set()
    for entry in dig(body, "metadata", "managedFields", default=()):
        if entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource"):
            fields |= set(_fields(entry.get("fieldsV1") or {}, ()))
    return frozenset(fields)


def managers_of(body: PlainObject) -> tuple[str, ...]:
    """Everybody who owns a field outside the status, in order of name."""
    entries = dig(body, "metadata", "managedFields", default=())
    return tuple(sorted({str(entry.get("manager")) for entry in entries if entry.get("subresource") != "status"}))


def owners_of(body: PlainObject, field: Field) -> tuple[Mapping[str, Any], ...]:
    """The managedFields entries that own this very field."""
    entries = dig(body, "metadata", "managedFields", default=())
    return tuple(entry for entry in entries if field in set(_fields(entry.get("fieldsV1") or {}, ())))


def value_at(body: Any, field: Field) -> Any:
    """The value at a path, or MISSING."""
    for step in field.steps:
        if isinstance(step, Item):
            found = [item for item in body if step.is_at(item)] if isinstance(body, list) else []
            body = found[0] if found else MISSING
        else:
            body = body[step] if isinstance(body, Mapping) and step in body else MISSING
        if body is MISSING:
            return MISSING
    return body


def _fields(tree: Mapping[str, Any], steps: tuple[Step, ...]) -> Iterator[Field]:
    """The leaves of fieldsV1, and the items that it names with a dot. A map's own dot says nothing beyond its parts."""
    for name, below in tree.items():
        if name == ".":
            if isinstance(steps[-1], Item):
                yield Field(steps)
            continue
        step = _step(name)
        if step is None:
            continue
        if below:
            yield from _fields(below, (*steps, step))
        else:
            yield Field((*steps, step))


def _step(name: str) -> Step | None:
    kind, _, text = name.partition(":")
    match kind:
        case "f":
            return text
        case "k":
            return Item(keys=tuple(sorted(json.loads(text).items())))
        case "v":
            return Item(value=json.loads(text))
    return None  # an index: the documentation says that it is not used
