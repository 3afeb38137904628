"""Reads YAML and JSON text into `Node`s, one document at a time, so that a broken one does not hide the others."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import yaml

from flyball.lint.node import Key, Node, Scalar

MAX_DEPTH = 200
"""libyaml composes by recursion and takes the process down with it where a document nests without end."""
MAX_REPEATS = 20_000
"""Values that stand in a document by alias only, which can make a short one enormous."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, ten times faster, where it is compiled in
_SCALARS = yaml.constructor.SafeConstructor()
_MARKER = re.compile(r"^(?:---(?=\s|$)|\.\.\.\s*$)")
_DIRECTIVE = re.compile(r"^%(YAML|TAG)\b")
_SURROGATES = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """What is wrong with a document, in the words of the parser."""

    line: int
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """One document: its root, None if it is empty or broken."""

    root: Node | None
    mistakes: tuple[Mistake, ...] = ()


def parse_documents(text: str, *, file: str = "") -> Iterator[Parsed]:
    """Every document of `text` that is not empty."""
    for line, chunk in split_documents(text):
        parsed = parse_document(chunk, first_line=1 + line, file=file)
        if parsed.root is not None or parsed.mistakes:
            yield parsed


def parse_embedded(text: Node) -> Parsed:
    """The document that is written inside a value, such as an entry of a ConfigMap."""
    return parse_document(text.text, first_line=text.text_line, path=text.path, file=text.file)


def parse_document(text: str, *, first_line: int = 1, path: tuple[Key, ...] = (), file: str = "") -> Parsed:
    """`text` as one document; `first_line` is the line of the file that it begins on, `path` the path of its root."""
    builder = _Builder(offset=first_line, file=file)
    try:
        readable = _readable(text)
        check_depth(readable)
        composed = yaml.compose(readable, Loader=_LOADER)
        if composed is None:
            return Parsed(root=None)
        root = builder.build(composed, line=first_line + composed.start_mark.line, path=path)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        return Parsed(root=None, mistakes=(Mistake(line=first_line + (mark.line if mark else 0), problem=problem),))
    except yaml.YAMLError as error:
        return Parsed(root=None, mistakes=(Mistake(line=first_line, problem=str(error).splitlines()[0]),))
    except (RecursionError, OverflowError):
        problem = "its aliases or its depth make it too large to read"
        return Parsed(root=None, mistakes=(Mistake(line=first_line, problem=problem),))
    return Parsed(root=root, mistakes=tuple(builder.mistakes))


def check_depth(text: str) -> None:
    """OverflowError if a document nests deeper than MAX_DEPTH. Reading events does not recurse."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise OverflowError


def split_documents(text: str) -> Iterator[tuple[int, str]]:
    """(lines before it, text) of each document. YAML allows its markers in the first column only, even in a block."""
    start: int = 0
    lines: list[str] = []
    for number, line in enumerate(StringIO(text, newline="\n")):
        if not _MARKER.match(line):
            lines.append("\n" if _DIRECTIVE.match(line) else line)
            continue
        yield start, "".join(lines)
        start, lines = number, []
        if line.startswith("---"):
            lines.append("   " + line[3:])  # a document may begin on the line of its marker: `--- # comment`
        else:
            lines.append("\n")
    yield start, "".join(lines)


def _readable(text: str) -> str:
    """JSON may hold escaped surrogate pairs, which libyaml refuses."""
    return _SURROGATES.sub(lambda pair: chr(_code_point(pair[1], pair[2])), text)


def _code_point(high: str, low: str) -> int:
    return 0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00


@dataclass(slots=True)
class _Builder:
    offset: int
    file: str
    mistakes: list[Mistake] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    repeats: int = 0

    def build(self, node: yaml.Node, *, line: int, path: tuple[Key, ...]) -> Node:
        self.repeats += id(node) in self.seen
        self.seen.add(id(node))
        if self.repeats > MAX_REPEATS:
            raise OverflowError
        text_line = line
        value: Any
        if isinstance(node, yaml.MappingNode):
            value = self._mapping(node, path)
        elif isinstance(node, yaml.SequenceNode):
            value = tuple(
                self.build(item, line=self.offset + item.start_mark.line, path=(*path, index))
                for index, item in enumerate(node.value)
            )
        else:
            assert isinstance(node, yaml.ScalarNode)
            value = scalar(node)
            text_line = self.offset + node.start_mark.line + (node.style in ("|", ">"))
        return Node(value=value, line=line, path=path, text_line=text_line, file=self.file)

    def _mapping(self, mapping: yaml.MappingNode, path: tuple[Key, ...]) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        own: set[str] = set()
        for key, child in mapping.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(None, None, "a mapping has a key that is not text", key.start_mark)
            name, line = str(key.value), self.offset + key.start_mark.line
            if key.tag == "tag:yaml.org,2002:merge":
                merged = self.build(child, line=line, path=path)
                for each in merged.items() or (merged,):
                    entries = {**dict(each.entries()), **entries}
                continue
            if name in own:
                problem = f"the key {name} stands twice in one mapping, on lines {entries[name].line} and {line}"
                self.mistakes.append(Mistake(line=line, problem=problem))
            own.add(name)
            entries[name] = self.build(child, line=line, path=(*path, name))
        return entries


def scalar(node: yaml.ScalarNode) -> Scalar:
    """A scalar as YAML 1.1 reads it; dates stay text, as they do in Kubernetes."""
    kind = str(node.tag).rpartition(":")[2]
    text = str(node.value)
    if kind == "null":
        return None
    try:
        if kind == "int":
            return int(_SCALARS.construct_yaml_int(node))
        if kind == "float":
            return float(_SCALARS.construct_yaml_float(node))
        if kind == "bool":
            return bool(_SCALARS.construct_yaml_bool(node))
    except ValueError:
        return text
    return text
