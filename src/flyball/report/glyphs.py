"""Point shapes that stay apart in black and white, as SVG path data around a centre."""

from typing import Literal

Shape = Literal["dot", "ring", "cross", "plus", "triangle", "square", "diamond"]

_AROUND: dict[Shape, str] = {
    # Moves are relative to the centre, so that one path can hold a thousand points in a few bytes each.
    "dot": "h0",  # its round line cap is what shows
    "ring": "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z",
    "cross": "m-3.5-3.5l7 7m0-7l-7 7",
    "plus": "m-4 0h8m-4-4v8",
    "triangle": "m-4 3.2h8l-4-7z",
    "square": "m-3.2-3.2h6.4v6.4h-6.4z",
    "diamond": "m-4 0l4-4l4 4l-4 4z",
}


def glyph(shape: Shape, x: float, y: float) -> str:
    """Path data of `shape` with its centre at (x, y)."""
    return f"M{round(x, 1):g} {round(y, 1):g}{_AROUND[shape]}"
