"""What an apply would change in an object: only the fields that we own or are about to own.

The API server's dry run says how the object would be; the comparison with the live one is a function of the two.
Defaults, other managers' fields and the status are never part of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from flyball.cluster.api_server import FIELD_MANAGER
from flyball.cluster.objects import ObjectKey, PlainObject
from flyball.cluster.ownership import MISSING, Field, Item, owned_fields, value_at
from flyball.cluster.refusals import Conflict

Action = Literal["create", "change", "replace", "adopt", "unchanged", "delete"]
"""adopt: no value changes, but we would own fields that we do not own yet. replace: delete and create again."""

_SECRET = "(secret)"  # stands for every value of a Secret: differences are shown, and kept in logs


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field's old and new value; MISSING where there is none."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectChange:
    """What an apply would do to one object."""

    key: ObjectKey
    action: Action
    fields: tuple[FieldChange, ...] = ()
    taken: tuple[Conflict, ...] = ()
    """Fields that others own with another value."""
    adopted: int = 0
    """Fields that we would own besides, with the value that they have."""
    notes: tuple[str, ...] = ()
    is_checked: bool = True
    """False where the API server could not try it: the namespace does not exist yet."""


def field_changes(live: PlainObject, result: PlainObject, *, manager: str = FIELD_MANAGER) -> tuple[FieldChange, ...]:
    """The differences between two states of an object in the fields that `manager` owns in either."""
    fields = sorted(owned_fields(live, manager) | owned_fields(result, manager), key=str)
    changes: list[FieldChange] = []
    whole: list[Field] = []  # items that come or go as a whole: their fields are not told again
    for field in fields:
        if any(field.is_within(item) for item in whole):
            continue
        old, new = value_at(live, field), value_at(result, field)
        if field.is_item and (old is MISSING) == (new is MISSING):
            continue
        if old != new:
            changes.append(FieldChange(field=str(field), old=old, new=new))
            whole += [field] if isinstance(field.steps[-1], Item) else []
    if live.get("kind") == "Secret":
        return tuple(_hidden(change) for change in changes)
    return tuple(changes)


def adopted_fields(live: PlainObject, result: PlainObject, *, manager: str = FIELD_MANAGER) -> int:
    """How many fields `manager` would own with the value that they have already."""
    gained = owned_fields(result, manager) - owned_fields(live, manager)
    return sum(value_at(live, field) == value_at(result, field) for field in gained if not field.is_item)


def compared(
    live: PlainObject, result: PlainObject, *, key: ObjectKey, taken: Sequence[Conflict] = (), notes: Sequence[str] = ()
) -> ObjectChange:
    """The change that leads from `live` to `result`."""
    fields = field_changes(live, result)
    is_same_owner = owned_fields(live, FIELD_MANAGER) == owned_fields(result, FIELD_MANAGER)
    action: Action = "change" if fields else "unchanged" if is_same_owner else "adopt"
    return ObjectChange(
        key=key,
        action=action,
        fields=fields,
        taken=tuple(taken),
        adopted=adopted_fields(live, result),
        notes=tuple(notes),
    )


def _hidden(change: FieldChange) -> FieldChange:
    if not change.field.startswith((".data", ".stringData")):
        return change
    old = MISSING if change.old is MISSING else _SECRET
    new = MISSING if change.new is MISSING else _SECRET
    return FieldChange(field=change.field, old=old, new=new)
