"""Label and field selectors in kubectl's notation."""

import re
from collections.abc import Mapping
from typing import Any

_TERM = re.compile(r"\s*(?P<key>[^\s!=,()]+)\s*(?:(?P<op>==|=|!=|in|notin)\s*(?P<value>\([^)]*\)|[^,]*))?\s*(?:,|$)")


def matches_labels(selector: str, body: Mapping[str, Any]) -> bool:
    """Whether the object's labels satisfy every term; `a=b`, `a!=b`, `a in (b,c)`, `a`, `!a`."""
    labels = body["metadata"].get("labels") or {}
    rest = selector
    while rest.strip():
        is_absent = rest.lstrip().startswith("!")
        match = _TERM.match(rest.lstrip().removeprefix("!"))
        assert match is not None, f"selector {selector!r}"
        rest = rest.lstrip().removeprefix("!")[match.end() :]
        if is_absent == (match["key"] in labels) and match["op"] is None:
            return False
        values = [value.strip() for value in (match["value"] or "").strip("()").split(",")]
        is_in = labels.get(match["key"]) in values
        if match["op"] is not None and is_in == (match["op"] in ("!=", "notin")):
            return False
    return True


def matches_fields(selector: str, body: Mapping[str, Any]) -> bool:
    """Whether the fields have these values: `metadata.name=x,involvedObject.kind!=Pod`."""
    for term in filter(None, selector.split(",")):
        key, operator, value = re.split(r"(!=|==|=)", term, maxsplit=1)
        found: Any = body
        for step in key.split("."):
            found = found.get(step) if isinstance(found, Mapping) else None
        if (str(found if found is not None else "") == value) == (operator == "!="):
            return False
    return True
