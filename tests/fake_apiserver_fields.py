"""Structured merge, small: field sets, merging and pruning of plain objects, as server-side apply defines them.

Which lists are maps by key, which are sets and which are atomic comes from Kubernetes' own schemas
(`x-kubernetes-list-type`, `x-kubernetes-list-map-keys`, `x-kubernetes-map-type`). What no schema describes, such as
custom resources, is granular in its maps and atomic in its lists.

A path is a tuple of elements: ("f", field), ("k", ((key, value), ...)) of a list of maps, ("v", value) of a set.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

Element = tuple[str, Any]
Path = tuple[Element, ...]
Node = Mapping[str, Any]
"""A JSON schema; empty where there is none."""

SCHEMA_VERSION = "v1.36.0"
# The port lists' keys have a default that the JSON schemas leave out (core/v1 types.go: +default="TCP").
KEY_DEFAULTS = {"protocol": "TCP"}
# Where custom resource definitions deviate from "lists are atomic": prometheus-operator's PrometheusRule.
CUSTOM: dict[tuple[str, str], Node] = {
    ("monitoring.coreos.com", "PrometheusRule"): {
        "properties": {
            "spec": {
                "properties": {
                    "groups": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name"],
                        "items": {},
                    }
                }
            }
        }
    }
}
_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


@cache
def _definitions() -> dict[str, Any]:
    folder = files("kubernetes_validate") / "kubernetes-json-schema" / f"{SCHEMA_VERSION}-local"
    definitions: dict[str, Any] = json.loads((folder / "_definitions.json").read_text())["$defs"]
    return definitions


@cache
def _by_kind() -> dict[tuple[str, str, str], str]:
    return {
        (kind["group"], kind["version"], kind["kind"]): name
        for name, definition in _definitions().items()
        for kind in definition.get("x-kubernetes-group-version-kind", [])
    }


def schema_of(api_version: str, kind: str) -> Node:
    """The kind's schema; of a custom resource only its metadata and what CUSTOM says."""
    group, _, version = api_version.rpartition("/")
    name = _by_kind().get((group, version, kind))
    if name is not None:
        return {"$ref": f"#/$defs/{name}"}
    custom = CUSTOM.get((group, kind), {"properties": {}})
    return {"properties": {**custom["properties"], "metadata": {"$ref": f"#/$defs/{_META}"}}}


def _resolve(node: Node) -> Node:
    while "$ref" in node:
        target = _definitions()[node["$ref"].rpartition("/")[2]]
        node = {**target, **{key: value for key, value in node.items() if key.startswith("x-")}}
    return node


def children(node: Node, value: Any) -> list[tuple[Element, Node, Any]] | None:
    """The parts of a granular value, each with its schema; None for a leaf and for what is atomic."""
    node = _resolve(node)
    if isinstance(value, Mapping):
        if node.get("x-kubernetes-map-type") == "atomic":
            return None
        other = node.get("additionalProperties")
        other = other if isinstance(other, Mapping) else {}
        return [(("f", key), node.get("properties", {}).get(key, other), part) for key, part in value.items()]
    if isinstance(value, list):
        items = node.get("items", {})
        match node.get("x-kubernetes-list-type"):
            case "map":
                names = node["x-kubernetes-list-map-keys"]
                return [(_key(names, item), items, item) for item in value]
            case "set":
                return [(("v", item), items, item) for item in value]
    return None


def _key(names: list[str], item: Mapping[str, Any]) -> Element:
    return "k", tuple(sorted((name, item.get(name, KEY_DEFAULTS.get(name))) for name in names))


def leaves(node: Node, value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Each owned path with its value. An item of a list of maps is a path of its own, with None for a value."""
    parts = children(node, value)
    if not parts:  # a leaf, atomic, or empty
        yield path, value
        return
    for element, child, part in parts:
        if element[0] == "v":
            yield (*path, element), part
            continue
        if element[0] == "k":
            yield (*path, element), None
        yield from leaves(child, part, (*path, element))


def undeclared(node: Node, value: Any, path: Path = ()) -> Iterator[Path]:
    """The fields that a schema does not have; server-side apply refuses them, strict validation or not."""
    node = _resolve(node)
    known, other = node.get("properties"), node.get("additionalProperties")
    if isinstance(value, Mapping) and known and not isinstance(other, Mapping):
        yield from ((*path, ("f", key)) for key in value if key not in known)
    for element, child, part in children(node, value) or ():
        yield from undeclared(child, part, (*path, element))


def merge(node: Node, live: Any, wanted: Any) -> Any:
    """`wanted` laid over `live`: granular parts are merged, the rest is replaced."""
    theirs, ours = children(node, live), children(node, wanted)
    if theirs is None or ours is None:
        return wanted
    mine = {element: (child, part) for element, child, part in ours}
    merged = [
        (element, merge(mine[element][0], part, mine[element][1]) if element in mine else part)
        for element, _, part in theirs
    ]
    known = {element for element, _, _ in theirs}
    merged += [(element, part) for element, _, part in ours if element not in known]
    return {element[1]: part for element, part in merged} if isinstance(live, Mapping) else [part for _, part in merged]


def without(node: Node, value: Any, paths: Iterable[Path]) -> Any:
    """`value` less the parts at these paths; a map that is emptied by that goes too."""
    by_element: dict[Element, list[Path]] = {}
    for path in paths:
        by_element.setdefault(path[0], []).append(path[1:])
    kept: list[tuple[Element, Any]] = []
    for element, child, part in children(node, value) or []:
        rests = by_element.get(element)
        if rests is None:
            kept.append((element, part))
            continue
        if () in rests:
            continue
        smaller = without(child, part, rests)
        if smaller or not part:
            kept.append((element, smaller))
    return {element[1]: part for element, part in kept} if isinstance(value, Mapping) else [part for _, part in kept]


def to_fields_v1(paths: Iterable[Path]) -> dict[str, Any]:
    """Paths as `fieldsV1` writes them."""
    fields: dict[str, Any] = {}
    for path in sorted(paths, key=repr):
        node = fields
        for element in path:
            node = node.setdefault(_text(element), {})
        if path[-1][0] == "k":
            node["."] = {}
    return fields


def _text(element: Element) -> str:
    kind, value = element
    if kind == "k":
        return "k:" + json.dumps(dict(value), separators=(",", ":"))
    return f"v:{json.dumps(value)}" if kind == "v" else f"f:{value}"


def dotted(path: Path) -> str:
    """A path as conflicts name it: .spec.template.spec.containers[name="vllm"].image."""
    text = ""
    for kind, value in path:
        if kind == "k":
            text += "[" + ",".join(f"{key}={json.dumps(part)}" for key, part in value) + "]"
        else:
            text += f"[={json.dumps(value)}]" if kind == "v" else f".{value}"
    return text
