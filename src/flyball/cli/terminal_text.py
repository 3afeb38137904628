"""Text for a terminal: prose is wrapped at its width and tables are narrowed to it; files and pipes get whole lines."""

import os
import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import TextIO

_GAP = 2
_INDENT = 2
_NARROWEST = 8  # columns of text are not squeezed further


def terminal_width(out: TextIO) -> int | None:
    """Columns of the terminal that `out` is; None if it is a file or a pipe."""
    try:
        return os.get_terminal_size(out.fileno()).columns or None if out.isatty() else None
    except (OSError, ValueError):  # a stream without a file behind it
        return None


def wrapped(text: str, width: int | None) -> str:
    """Lines of `text` at most `width` wide where words allow it, the rest of each indented by two more."""
    if width is None:
        return text
    lines = (
        textwrap.fill(
            line,
            width,
            subsequent_indent=" " * (len(line) - len(line.lstrip()) + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.split("\n")
    )
    return "\n".join(lines)


def table(
    rows: Sequence[Sequence[str]], *, left: int = 1, heads: Sequence[str] = (), width: int | None = None
) -> Iterator[str]:
    """Lines of cells under each other, the first `left` columns aligned to the left and narrowed if need be.

    Where there is a width, heads are broken between words.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for index, head in enumerate(heads):
        parts = [head] if width is None else head.split()
        widths[index] = max(widths[index], *map(len, parts), 0)
    if width is not None:
        _narrow(widths, left, width - _INDENT - _GAP * (len(widths) - 1))
    for row in [heads, *rows] if heads else rows:
        cells = [textwrap.wrap(cell, column) or [""] for cell, column in zip(row, widths, strict=True)]
        for line in zip_longest(*cells, fillvalue=""):
            aligned = (
                cell.ljust(column) if index < left else cell.rjust(column)
                for index, (cell, column) in enumerate(zip(line, widths, strict=True))
            )
            yield f"{' ' * _INDENT}{(' ' * _GAP).join(aligned)}".rstrip()


def _narrow(widths: list[int], left: int, room: int) -> None:
    """Take what is too much from the widest columns of text, in place."""
    while sum(widths) > room:
        widest = max(range(left), key=widths.__getitem__)
        if widths[widest] <= _NARROWEST:
            return
        widths[widest] -= 1
