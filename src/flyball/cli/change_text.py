"""Changes of objects, as lines to read and as a document."""

import difflib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from flyball.cluster.comparing import Comparison
from flyball.cluster.difference import Action, FieldChange, ObjectChange
from flyball.cluster.ownership import MISSING

_SIGNS = {"create": "+", "change": "~", "replace": "!", "adopt": "=", "delete": "-"}
_LONGEST = 160  # characters of a value on one line
_LONGEST_TEXT = 40  # lines of a text's difference
_WORDS: dict[Action, str] = {
    "create": "to create",
    "change": "to change",
    "replace": "to replace",
    "adopt": "to adopt",
    "delete": "to delete",
    "unchanged": "unchanged",
}


def change_lines(comparison: Comparison) -> Iterator[str]:
    """Each object that would change, with old and new values; a line each for what was left behind or is unknown."""
    if not all(change.is_checked for change in comparison.changes):
        yield "the namespace does not exist yet: what goes into it is tried when it does, before anything else"
    for change in comparison.changes:
        if change.action != "unchanged" or change.notes:
            yield from _object_lines(change)
    for key in comparison.obsolete:
        yield f"  {key}: the spec has it no more; --prune deletes it"
    for resource in comparison.unseen:
        yield f"  {resource}: no permission to list them; what the spec has no more is not found there"


def summary(comparison: Comparison) -> str:
    """`2 to create, 1 to change, 9 unchanged`."""
    counts = Counter(change.action for change in comparison.changes)
    parts = [f"{counts[action]} {words}" for action, words in _WORDS.items() if counts[action]]
    return ", ".join(parts) or "nothing"


def document(comparison: Comparison) -> dict[str, Any]:
    """For -o json: every object, with the fields that would change."""
    return {
        "differs": comparison.differs,
        "objects": [_object_document(change) for change in comparison.changes],
        "missing_kinds": [
            {"apiVersion": each.api_version, "kind": each.kind, "served": list(each.served), "fix": each.fix}
            for each in comparison.missing
        ],
        "rivals": [rival.what for rival in comparison.rivals],
        "refused": [error.what for error in comparison.refused],
        "obsolete": [{"kind": key.kind, "name": key.name} for key in comparison.obsolete],
        "not_listed": list(comparison.unseen),
    }


def _object_lines(change: ObjectChange) -> Iterator[str]:
    yield f"{_SIGNS.get(change.action, ' ')} {change.key}"
    for field in change.fields:
        for part in _narrowed(field):
            yield from _field_lines(part)
    for taken in change.taken:
        yield f"    {taken.field} is owned by {taken.manager}"
    if change.adopted:
        yield f"    {change.adopted} more fields would be flyball's, with the value that they have"
    for note in change.notes:
        yield f"    {note}"


def _narrowed(change: FieldChange) -> Iterator[FieldChange]:
    """The parts that differ, of a value that is owned as a whole: a rule of thirty, a key of a rule."""
    old, new = change.old, change.new
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = [key for key in {**old, **new} if old.get(key, MISSING) != new.get(key, MISSING)]
        for key in keys:
            name = f"{change.field}.{key}"
            yield from _narrowed(FieldChange(field=name, old=old.get(key, MISSING), new=new.get(key, MISSING)))
    elif _are_objects(old) and _are_objects(new) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            if one != other:
                yield from _narrowed(FieldChange(field=f"{change.field}[{index}]", old=one, new=other))
    else:
        yield change


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, Mapping) for each in value)


def _field_lines(change: FieldChange) -> Iterator[str]:
    if isinstance(change.old, str) and isinstance(change.new, str) and "\n" in change.old + change.new:
        yield f"    {change.field}:"
        lines = list(difflib.unified_diff(change.old.splitlines(), change.new.splitlines(), lineterm="", n=1))[2:]
        yield from (f"      {line}" for line in lines[:_LONGEST_TEXT])
        if len(lines) > _LONGEST_TEXT:
            yield f"      ... {len(lines) - _LONGEST_TEXT} more lines"
    elif _are_words(change.old) and _are_words(change.new):
        yield f"    {change.field}:"
        yield from (f"  - {_value(each)}" for each in change.old if each not in change.new)
        yield from (f"  + {_value(each)}" for each in change.new if each not in change.old)
        if Counter(change.old) == Counter(change.new):
            yield "      in another order"
    elif change.old is MISSING:
        yield f"  + {change.field}: {_value(change.new)}"
    elif change.new is MISSING:
        yield f"  - {change.field}: {_value(change.old)}"
    else:
        yield f"    {change.field}: {_value(change.old)} -> {_value(change.new)}"


def _are_words(value: Any) -> bool:
    """A list of texts, such as a container's arguments: only those that differ are worth showing."""
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _object_document(change: ObjectChange) -> dict[str, Any]:
    fields = [
        {"field": each.field}
        | ({} if each.old is MISSING else {"old": each.old})
        | ({} if each.new is MISSING else {"new": each.new})
        for each in change.fields
    ]
    return {
        "apiVersion": change.key.api_version,
        "kind": change.key.kind,
        "namespace": change.key.namespace,
        "name": change.key.name,
        "action": change.action,
        "fields": fields,
        "conflicts": [{"field": each.field, "manager": each.manager} for each in change.taken],
        "adopted": change.adopted,
        "notes": list(change.notes),
        "checked": change.is_checked,
    }
