"""`Manifest`: a Kubernetes object whose values can carry their reason; `Because`: such a value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Because:
    """A value and, in words, why it is that; the YAML has the reason as a comment above the value."""

    value: Any
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One object as it will be sent to the API server, with the reasons that only people read."""

    body: Mapping[str, Any]
    """Any value in it, list items too, at any depth, may be a `Because`."""
    file: str
    """Where it goes when objects are written to a folder; several may share a file."""
    comment: str = ""
    """Lines above the object."""

    @property
    def plain(self) -> dict[str, Any]:
        """The body without reasons: what is sent."""
        return {key: unwrapped(value) for key, value in self.body.items()}

    @property
    def api_version(self) -> str:
        return str(unwrapped(self.body["apiVersion"]))

    @property
    def kind(self) -> str:
        return str(unwrapped(self.body["kind"]))

    @property
    def name(self) -> str:
        return str(unwrapped(unwrapped(self.body["metadata"])["name"]))

    @property
    def namespace(self) -> str | None:
        """None of an object that belongs to the whole cluster."""
        namespace = unwrapped(unwrapped(self.body["metadata"]).get("namespace"))
        return None if namespace is None else str(namespace)


def unwrapped(value: Any) -> Any:
    """`value` without reasons, in dicts and lists of its own."""
    if isinstance(value, Because):
        return unwrapped(value.value)
    if isinstance(value, Mapping):
        return {key: unwrapped(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [unwrapped(item) for item in value]
    return value
