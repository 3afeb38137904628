"""A `Chart` as inline SVG. Pure text.

Colours and dashes come from `CHART_STYLE`, so that a drawing follows the reader's light or dark theme and prints in
black and white. Charts of one width and one x axis line up when they are stacked. Values beyond an axis are drawn at
its edge, points hollow.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Self

from flyball.report.chart import Band, Chart, Line, Mark, Objective, Points
from flyball.report.glyphs import glyph
from flyball.report.markup import Markup, join, tag
from flyball.report.point_names import placed_names

MARGIN_LEFT, MARGIN_RIGHT, PLOT_TOP = 58.0, 14.0, 8.0  # pixels, as all below
BADGE, NAME_ROW, X_TICKS, X_LABEL = 17.0, 14.0, 20.0, 16.0
_LETTER = 6.0  # rough width of a letter of 11 px, to keep names apart
_TITLED_POINTS = 400  # more than that share one path, to the pixel, and give up their own tooltips


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """Where things lie in the drawing. From the top: badges of marks, names of bands, the plot, the x axis."""

    chart: Chart
    left: float
    right: float
    badge_rows: Sequence[int]
    name_rows: Sequence[int]

    @classmethod
    def of(cls, chart: Chart) -> Self:
        left, right = MARGIN_LEFT, chart.width - MARGIN_RIGHT
        badges: list[int] = []
        names: list[int] = []
        if chart.names:
            centres = [chart.x.place(mark.x, left, right) for mark in chart.marks]
            badges = pack((centre - BADGE / 2, centre + BADGE / 2) for centre in centres)
            names = pack(_name_span(chart.x.place(band.low, left, right), band, right) for band in chart.bands)
        return cls(chart=chart, left=left, right=right, badge_rows=badges, name_rows=names)

    @property
    def names_top(self) -> float:
        """Where badges end and names begin."""
        return PLOT_TOP + (max(self.badge_rows, default=-1) + 1) * BADGE

    @property
    def top(self) -> float:
        return self.names_top + (max(self.name_rows, default=-1) + 1) * NAME_ROW

    @property
    def bottom(self) -> float:
        return self.top + self.chart.plot_height

    @property
    def height(self) -> float:
        return self.bottom + X_TICKS + (X_LABEL if self.chart.x.label else 0.0)

    def x(self, value: float) -> float:
        return self.chart.x.place(value, self.left, self.right)

    def y(self, value: float) -> float:
        return self.chart.y.place(value, self.bottom, self.top)


def figure(chart: Chart) -> Markup:
    """The chart with its title and legend, as one HTML figure."""
    keys = [*chart.series, *chart.objectives[:1]]
    legend = tag("span", (_legend_key(key) for key in keys), class_="legend") if len(keys) > 1 else Markup()
    caption = tag("figcaption", tag("strong", chart.title), legend)
    return tag("figure", caption, svg(chart), class_="chart")


def svg(chart: Chart) -> Markup:
    """The drawing alone."""
    frame = _Frame.of(chart)
    lines = [series for series in chart.series if isinstance(series, Line)]
    clouds = [series for series in chart.series if isinstance(series, Points)]
    return tag(
        "svg",
        tag("title", chart.title),
        tag("desc", chart.description),
        (_band(frame, index, band) for index, band in enumerate(chart.bands)),
        (_area(frame, line) for line in lines if line.area),
        _axes(frame),
        (_mark(frame, index, mark) for index, mark in enumerate(chart.marks)),
        (_line(frame, line) for line in lines),
        (_points(frame, cloud) for cloud in clouds),
        (_objective(frame, objective) for objective in chart.objectives),
        placed_names(
            [
                (frame.x(x), frame.y(y), name)
                for cloud in clouds
                for (x, y, _), name in zip(cloud.points, cloud.names, strict=False)
            ]
        ),
        viewBox=f"0 0 {chart.width:g} {frame.height:g}",
        role="img",
        xmlns="http://www.w3.org/2000/svg",
    )


def pack(spans: Iterable[tuple[float, float]]) -> list[int]:
    """A row for each span of pixels, counted from 0 and as low as can be, such that none overlaps another."""
    order = sorted(enumerate(spans), key=lambda item: item[1])
    ends: list[float] = []  # per row, where it is taken up to
    rows = [0] * len(order)
    for index, (start, end) in order:
        row = next((row for row, taken in enumerate(ends) if taken <= start), len(ends))
        ends[row : row + 1] = [end]
        rows[index] = row
    return rows


def _axes(frame: _Frame) -> Markup:
    chart = frame.chart
    pieces = []
    for value in chart.y.ticks(6):
        y = frame.y(value)
        grid = tag("line", x1=frame.left, x2=frame.right, y1=y, y2=y, class_="grid")
        pieces += [grid, tag("text", chart.y.form(value), x=frame.left - 8, y=y + 3.5, class_="tick end")]
    for value in chart.x.ticks(12):
        x = frame.x(value)
        pieces.append(tag("line", x1=x, x2=x, y1=frame.bottom, y2=frame.bottom + 4, class_="axis"))
        pieces.append(tag("text", chart.x.form(value), x=x, y=frame.bottom + 16, class_="tick middle"))
    pieces.append(tag("line", x1=frame.left, x2=frame.right, y1=frame.bottom, y2=frame.bottom, class_="axis"))
    if chart.x.label:
        pieces.append(tag("text", chart.x.label, x=frame.right, y=frame.height - 3, class_="tick end"))
    if chart.y.label:
        pieces.append(tag("text", chart.y.label, x=frame.left + 6, y=frame.top + 11, class_="tick"))
    return join(*pieces)


def _name_span(x: float, band: Band, right: float) -> tuple[float, float]:
    """From where to where the name of `band`, which begins at `x`, reaches: to the right, or back from the edge."""
    width = len(band.label) * _LETTER + 8
    return (x, x + width) if x + width <= right else (right - width, right)


def _band(frame: _Frame, index: int, band: Band) -> Markup:
    left, right = frame.x(band.low), frame.x(band.high)
    shade = "band odd" if index % 2 else "band"
    box = {"x": left, "y": frame.top, "width": max(0.0, right - left), "height": frame.bottom - frame.top}
    title = tag("title", band.label)
    if not frame.name_rows:
        return tag("rect", title, class_=shade, **box)
    row = frame.name_rows[index]
    start, _ = _name_span(left, band, frame.right)
    base = frame.top - NAME_ROW * row
    edge = tag("line", x1=left, x2=left, y1=base - NAME_ROW + 2, y2=frame.bottom, class_="edge")
    name = tag("text", band.label, x=start + 4, y=base - 4, class_="name")
    return join(tag("rect", title, class_=shade, **box), edge, name)


def _mark(frame: _Frame, index: int, mark: Mark) -> Markup:
    x = frame.x(mark.x)
    title = tag("title", f"{mark.label}: {mark.text}")
    if not frame.badge_rows:
        return tag("g", title, tag("line", x1=x, x2=x, y1=frame.top, y2=frame.bottom, class_=f"mark {mark.tone}"))
    y = frame.names_top - BADGE * (frame.badge_rows[index] + 0.5)
    line = tag("line", x1=x, x2=x, y1=y, y2=frame.bottom, class_=f"mark {mark.tone}")
    badge = tag("circle", cx=x, cy=y, r=7.5, class_=f"badge {mark.tone}")
    return tag("g", title, line, badge, tag("text", mark.label, x=x, y=y + 3.5, class_="label middle"))


def _pieces(frame: _Frame, line: Line) -> list[list[tuple[float, float]]]:
    """The line in pixels, cut at its gaps; a step becomes its corners."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for x_value, y_value in line.points:
        if y_value is None:
            if line.step and pieces[-1]:
                pieces[-1].append((frame.x(x_value), pieces[-1][-1][1]))
            pieces.append([])
            continue
        x, y = frame.x(x_value), frame.y(y_value)
        if line.step and pieces[-1] and pieces[-1][-1][1] != y:
            pieces[-1].append((x, pieces[-1][-1][1]))
        pieces[-1].append((x, y))
    return [_thinned(piece) for piece in pieces if piece]


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of the points in one pixel column the first, lowest, highest and last; of a level stretch its ends."""
    kept: list[tuple[float, float]] = []
    for _, group in groupby(points, key=lambda point: int(point[0])):
        column = list(group)
        heights = [y for _, y in column]
        chosen = {0, heights.index(min(heights)), heights.index(max(heights)), len(column) - 1}
        kept += [column[index] for index in sorted(chosen)]
    return [
        point
        for index, point in enumerate(kept)
        if index in (0, len(kept) - 1) or not kept[index - 1][1] == point[1] == kept[index + 1][1]
    ]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _line(frame: _Frame, line: Line) -> Markup:
    data = "".join(_path(piece) for piece in _pieces(frame, line))
    return tag("path", tag("title", line.label), d=data, class_=f"line {line.tone}{' dashed' if line.dashed else ''}")


def _area(frame: _Frame, line: Line) -> Markup:
    data = "".join(
        f"M{piece[0][0]:.1f} {frame.bottom:.1f}L{_path(piece)[1:]}V{frame.bottom:.1f}Z"
        for piece in _pieces(frame, line)
    )
    return tag("path", d=data, class_=f"area {line.tone}")


def _points(frame: _Frame, cloud: Points) -> Markup:
    titled = len(cloud.points) <= _TITLED_POINTS
    pieces: list[Markup] = []
    shared: dict[str, dict[str, None]] = {}  # class to glyphs, each once
    for x_value, y_value, text in cloud.points:
        within = frame.chart.x.holds(x_value) and frame.chart.y.holds(y_value)
        # A dot has no inside to leave empty; the ring is its hollow twin.
        shape = "ring" if cloud.shape == "dot" and not within else cloud.shape
        kind = f"point {cloud.tone} {shape}{'' if within else ' beyond'}"
        x, y = frame.x(x_value), frame.y(y_value)
        if titled:
            pieces.append(tag("path", tag("title", text), d=glyph(shape, x, y), class_=kind))
        else:
            shared.setdefault(kind, {})[glyph(shape, round(x), round(y))] = None
    pieces += [tag("path", d="".join(glyphs), class_=kind) for kind, glyphs in shared.items()]
    return tag("g", tag("title", cloud.label), pieces)


def _objective(frame: _Frame, objective: Objective) -> Markup:
    y = frame.y(objective.y)
    line = tag("line", x1=frame.left, x2=frame.right, y1=y, y2=y, class_="objective")
    return join(line, tag("text", objective.label, x=frame.right - 4, y=y - 4, class_="objective-label end"))


def _legend_key(key: Line | Points | Objective) -> Markup:
    """A swatch as it looks in the drawing, and its name."""
    if isinstance(key, Points):
        swatch = tag("path", d=glyph(key.shape, 11, 6), class_=f"point {key.tone} {key.shape}")
    elif isinstance(key, Objective):
        swatch = tag("line", x1=0, x2=22, y1=6, y2=6, class_="objective")
    else:
        style = f"{key.tone}{' dashed' if key.dashed else ''}"
        box = tag("rect", x=0, y=2, width=22, height=9, class_=f"area {key.tone}") if key.area else Markup()
        swatch = join(box, tag("path", d="M0 2H22" if key.area else "M0 6H22", class_=f"line {style}"))
    label = "objective" if isinstance(key, Objective) else key.label
    drawing = tag("svg", swatch, viewBox="0 0 22 12", width=22, height=12, aria_hidden="true")
    return tag("span", drawing, label, class_="key")
