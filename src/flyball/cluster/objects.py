"""Kubernetes objects as they travel: plain nested dictionaries, and the key that names one of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PlainObject = Mapping[str, Any]
"""apiVersion, kind, metadata and the rest; never changed in place."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ObjectKey:
    """What names an object. `namespace` is empty for a kind that lives in none."""

    api_version: str
    kind: str
    name: str
    namespace: str = ""

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def key_of(body: PlainObject) -> ObjectKey:
    """The key of an object that came from a renderer or an API server."""
    metadata = body.get("metadata") or {}
    return ObjectKey(
        api_version=str(body.get("apiVersion", "")),
        kind=str(body.get("kind", "")),
        name=str(metadata.get("name", "")),
        namespace=str(metadata.get("namespace") or ""),
    )


def labels_of(body: PlainObject) -> Mapping[str, str]:
    """The object's labels; empty where it has none."""
    return (body.get("metadata") or {}).get("labels") or {}


def dig(body: Any, *path: str, default: Any = None) -> Any:
    """The value at a path of keys, or `default` where a step is missing or null."""
    for step in path:
        body = body.get(step) if isinstance(body, Mapping) else None
    return default if body is None else body
