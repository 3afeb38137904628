"""Manifests as YAML text with the reasons as comments.

PyYAML's emitter has no comments, so the layout is ours: block style, one value a line. How a scalar must be quoted is
still asked of PyYAML, and beyond it of YAML 1.2 and Go's parser, which read `1e3` as a number where PyYAML does not.
"""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

import yaml

from flyball.manifests.manifest import Because, Manifest

WIDTH = 120
_NO_LIMIT = 2**31
_PLAIN = re.compile(r"(--)?[A-Za-z_/].*|[0-9]+(Ki|Mi|Gi|Ti|m|s|h|%)")
_ONE_LETTER_TRUTHS = ("y", "Y", "n", "N")
_WORDS = re.compile(r"[^\s]+( [^\s]+)+")


def to_yaml(manifests: Sequence[Manifest]) -> str:
    """The objects in the order given, one YAML document each."""
    return "---\n".join("".join(f"{line}\n" for line in _document(manifest)) for manifest in manifests)


def _document(manifest: Manifest) -> Iterator[str]:
    yield from _comment(manifest.comment, indent=0)
    yield from _mapping(manifest.body, indent=0)


def _mapping(mapping: Mapping[str, Any], *, indent: int) -> Iterator[str]:
    for key, item in mapping.items():
        value, reasons = _opened(item)
        for reason in reasons:
            yield from _comment(reason, indent=indent)
        yield from _entry(f"{' ' * indent}{_scalar(key)}:", value, indent=indent)


def _sequence(items: Sequence[Any], *, indent: int) -> Iterator[str]:
    for item in items:
        value, reasons = _opened(item)
        for reason in reasons:
            yield from _comment(reason, indent=indent)
        start = f"{' ' * indent}-"
        if isinstance(value, Mapping) and value:
            yield from _dashed(list(_mapping(value, indent=indent + 2)), start)
        elif _is_list(value) and value:
            yield start
            yield from _sequence(value, indent=indent + 2)
        else:
            yield from _entry(start, value, indent=indent)


def _dashed(lines: list[str], start: str) -> Iterator[str]:
    """The lines of a mapping as a list item; what is said of its first key comes before the dash."""
    said = list(takewhile(lambda line: line.lstrip(" ").startswith("#"), lines))
    yield from (line[2:] for line in said)
    first, *rest = lines[len(said) :]
    yield f"{start} {first.lstrip(' ')}"
    yield from rest


def _entry(start: str, value: Any, *, indent: int) -> Iterator[str]:
    """`start` is what stands before the value: `key:` or a dash."""
    if isinstance(value, Mapping) and value:
        yield start
        yield from _mapping(value, indent=indent + 2)
    elif _is_list(value) and value:
        yield start
        yield from _sequence(value, indent=indent + 2)
    elif isinstance(value, str):
        yield from _text(start, value, indent=indent + 2)
    else:
        yield f"{start} {_scalar(value)}"


def _text(start: str, text: str, *, indent: int) -> Iterator[str]:
    margin = " " * indent
    lines = text.split("\n")
    if len(lines) > 1 and _fits_a_block(text):
        chomping = "-" if lines[-1] else ("" if lines[-2] else "+")
        yield f"{start} |{chomping}"
        yield from (f"{margin}{line}" if line else "" for line in (lines if lines[-1] else lines[:-1]))
    elif len(start) + len(text) > WIDTH and text.isprintable() and _WORDS.fullmatch(text):
        yield f"{start} >-"
        yield from _folded(text, margin)
    else:
        yield f"{start} {_scalar(text)}"


def _fits_a_block(text: str) -> bool:
    """Whether a literal block holds the text as it is: nothing invisible, and an indent that can be told."""
    lines = text.split("\n")
    return all(line.isprintable() and (not line or line.strip(" ") != "") for line in lines) and text[0] not in " \n"


def _folded(text: str, margin: str) -> list[str]:
    return textwrap.wrap(
        text,
        width=WIDTH,
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _scalar(value: Any) -> str:
    """One line that every parser reads as `value`."""
    is_odd = isinstance(value, str) and not (_PLAIN.fullmatch(value) and value.isprintable())
    line = _dumped(value, '"' if is_odd or value in _ONE_LETTER_TRUTHS else None)
    return _dumped(value, '"') if line.startswith("'") else line


def _dumped(value: Any, style: str | None) -> str:
    return yaml.safe_dump(value, default_style=style, allow_unicode=True, width=_NO_LIMIT).removesuffix("...\n").strip()


def _comment(text: str, *, indent: int) -> Iterator[str]:
    start = f"{' ' * indent}# "
    for paragraph in text.splitlines():
        printable = "".join(letter if letter.isprintable() else " " for letter in paragraph)
        lines = textwrap.wrap(printable, max(WIDTH - len(start), 40), break_long_words=False, break_on_hyphens=False)
        yield from (f"{start}{line}" for line in lines or ("",))


def _opened(value: Any) -> tuple[Any, list[str]]:
    """A value and the reasons around it."""
    reasons = []
    while isinstance(value, Because):
        reasons.append(value.reason)
        value = value.value
    return value, reasons


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
