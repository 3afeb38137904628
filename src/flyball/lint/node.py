"""A value of a manifest that knows where it stands: its line and its key path."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None
Key: TypeAlias = str | int

MAX_WRITTEN = 120
_PLAIN_KEY = re.compile(r"[A-Za-z_][\w-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A scalar, a mapping or a sequence of a YAML or JSON document; or the place where something is missing."""

    value: "Scalar | Mapping[str, Node] | Sequence[Node]"
    line: int
    """From 1; of the key, for a value under one. Of the nearest ancestor that is there, if the value is missing."""
    path: tuple[Key, ...] = ()
    text_line: int = 0
    """Where the text of a block scalar (`|`, `>`) begins; `line` for everything else."""
    exists: bool = True
    file: str = ""

    def at(self, *keys: Key) -> "Node":
        """The value under those keys; a missing Node (`exists` false, value None) if there is none."""
        node = self
        for depth, key in enumerate(keys):
            child = node._child(key)
            if child is None:
                path = (*node.path, *keys[depth:])
                return Node(value=None, line=node.line, path=path, text_line=node.line, exists=False, file=node.file)
            node = child
        return node

    def _child(self, key: Key) -> "Node | None":
        if isinstance(self.value, Mapping) and isinstance(key, str):
            return self.value.get(key)
        if isinstance(key, int) and self.is_sequence and 0 <= key < len(self.items()):
            return self.items()[key]
        return None

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.value, Mapping)

    @property
    def is_sequence(self) -> bool:
        return isinstance(self.value, Sequence) and not isinstance(self.value, str)

    def items(self) -> Sequence["Node"]:
        """The elements of a sequence; nothing for anything else."""
        return self.value if isinstance(self.value, Sequence) and not isinstance(self.value, str) else ()

    def entries(self) -> Iterator[tuple[str, "Node"]]:
        """The keys and values of a mapping; nothing for anything else."""
        if isinstance(self.value, Mapping):
            yield from self.value.items()

    @property
    def text(self) -> str:
        """A scalar as it would be written; empty for null, for collections and for what is missing."""
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        return str(self.value) if isinstance(self.value, str | int | float) else ""

    @property
    def number(self) -> float | None:
        """A finite number, or text that is one; None for anything else."""
        if isinstance(self.value, bool) or not isinstance(self.value, str | int | float):
            return None
        try:
            number = float(self.value)
        except (ValueError, OverflowError):
            return None
        return number if math.isfinite(number) else None

    @property
    def is_false(self) -> bool:
        """Whether it says false, as a boolean or as the text that annotations and KEDA's metadata need."""
        return self.text.lower() == "false"

    @property
    def is_true(self) -> bool:
        return self.text.lower() == "true"

    def plain(self) -> Any:
        """The value as Python's own dict, list and scalars."""
        if isinstance(self.value, Mapping):
            return {key: node.plain() for key, node in self.value.items()}
        return [node.plain() for node in self.items()] if self.is_sequence else self.value

    @property
    def written(self) -> str:
        """The value in one line, for people; long collections are cut."""
        if not self.exists:
            return "(missing)"
        if self.is_mapping or self.is_sequence:
            text = json.dumps(self.plain(), default=str)
            return text if len(text) <= MAX_WRITTEN else f"{text[:MAX_WRITTEN]}..."
        return " ".join(self.text.split())

    @property
    def key_path(self) -> str:
        """`spec.containers[0].args[2]`; keys that are not plain words are quoted."""
        return render_path(self.path)


def render_path(path: Sequence[Key]) -> str:
    written = ""
    for key in path:
        if isinstance(key, int):
            written += f"[{key}]"
        elif _PLAIN_KEY.fullmatch(key):
            written += f".{key}" if written else key
        else:
            written += f'["{key}"]'
    return written
