"""Where the names of points go: beside them, without covering each other or another point. Pure."""

from collections.abc import Iterator, Sequence

from flyball.report.markup import Markup, tag

_LETTER, _HEIGHT, _POINT = 6.5, 11.0, 5.0  # pixels: width of a letter, height of a line, reach of a point's glyph
Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def placed_names(points: Sequence[tuple[float, float, str]]) -> Iterator[Markup]:
    """A text for each (x, y, name) in pixels: to the right if there is room, else left, above, below, or farther."""
    taken: list[Box] = [(x - _POINT, y - _POINT, x + _POINT, y + _POINT) for x, y, _ in points]
    for x, y, name in points:
        width = _LETTER * len(name)
        spots = list(_spots(x, y, width))
        free = (spot for spot in spots if not any(_overlap(_box(*spot, width), box) for box in taken))
        left, base = next(free, spots[0])
        taken.append(_box(left, base, width))
        yield tag("text", name, x=left + width / 2, y=base, class_="point-name middle")


def _spots(x: float, y: float, width: float) -> Iterator[tuple[float, float]]:
    """(left edge, base line) of a name, the nearest first."""
    for away in (3.0, 16.0, 29.0):
        yield x + _POINT + away, y + 4
        yield x - _POINT - away - width, y + 4
        yield x - width / 2, y - _POINT - away
        yield x - width / 2, y + _POINT + away + 8


def _box(left: float, base: float, width: float) -> Box:
    return left, base - _HEIGHT + 2, left + width, base + 2


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
