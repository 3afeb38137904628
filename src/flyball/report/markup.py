"""HTML and SVG as text that cannot be injected into: plain strings are escaped, markup is not."""

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

Child: TypeAlias = "str | Iterable[Child]"
"""Text, markup, or many of them."""

_VOID = {"br", "hr", "meta"}  # HTML's elements without an end tag, of those used here


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, /, *children: Child, **attributes: object) -> Markup:
    """One element. Children that are not `Markup` are escaped; an attribute that is None is left out.

    A trailing underscore of an attribute is dropped (`class_`), an inner one becomes a dash (`stroke_dasharray`).
    """
    named = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{named}>")
    return Markup(f"<{name}{named}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """Several pieces, one after the other."""
    pieces: list[str] = []
    for child in children:
        if isinstance(child, Markup):
            pieces.append(str(child))
        elif isinstance(child, str):
            pieces.append(escape(child, quote=False))
        else:
            pieces.append(str(join(*child)))
    return Markup("".join(pieces))


def _text(value: object) -> str:
    """A float to the tenth of a pixel, without a trailing zero."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
