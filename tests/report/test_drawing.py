import math
import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.report import Axis, Band, Chart, Line, Mark, Objective, Points, figure, format_clock, linear_axis, svg
from flyball.report.drawing import MARGIN_LEFT, MARGIN_RIGHT, pack

SVG = "{http://www.w3.org/2000/svg}"
X = Axis(low=0, high=100)


def _drawn(chart: Chart) -> ElementTree.Element:
    """The drawing, read by an XML parser that we did not write."""
    return ElementTree.fromstring(svg(chart))


def _of(drawing: ElementTree.Element, name: str, kind: str) -> list[ElementTree.Element]:
    return [element for element in drawing.iter(SVG + name) if kind in element.get("class", "").split()]


def _chart(*series: Line | Points, **more: Any) -> Chart:
    given: dict[str, Any] = {"title": "T", "description": "D", "x": X, "y": Axis(low=0, high=10), "series": series}
    return Chart(**given | more)


def _plot(drawing: ElementTree.Element) -> tuple[float, float]:
    """Bottom and top of the plot: the lowest and the highest line of the grid."""
    ys = [float(line.get("y1", "nan")) for line in _of(drawing, "line", "grid")]
    return max(ys), min(ys)


def _corners(path: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path.get("d", ""))]


def test_a_drawing_says_what_it_is() -> None:
    """Title and description come first, for readers who do not see it; so does the role."""
    drawing = _drawn(_chart())

    assert [(child.tag, child.text) for child in drawing][:2] == [(SVG + "title", "T"), (SVG + "desc", "D")]
    assert drawing.get("role") == "img"


def test_the_objective_lies_where_its_value_is() -> None:
    """A bound of 4 on an axis from 0 to 10 lies at four tenths of the plot's height, across its whole width."""
    drawing = _drawn(_chart(objectives=[Objective(y=4, label="p95 ≤ 4 s")]))
    line = _of(drawing, "line", "objective")[0]
    bottom, top = _plot(drawing)

    assert (
        float(line.get("y1", "")) == float(line.get("y2", "")) == pytest.approx(bottom - 0.4 * (bottom - top), abs=0.1)
    )
    assert (float(line.get("x1", "")), float(line.get("x2", ""))) == (MARGIN_LEFT, 1040 - MARGIN_RIGHT)
    assert [text.text for text in _of(drawing, "text", "objective-label")] == ["p95 ≤ 4 s"]


def test_ticks_are_labelled_over_the_whole_range() -> None:
    """The first and the last label of an axis are its ends."""
    drawing = _drawn(_chart())
    labels = [text.text for text in _of(drawing, "text", "tick")]

    assert labels == ["0", "2", "4", "6", "8", "10", *(str(value) for value in range(0, 101, 10))]


def test_a_line_goes_through_its_points() -> None:
    """Every corner lies where the axes put the point."""
    drawing = _drawn(_chart(Line(label="l", points=[(0, 0), (50, 10), (100, 5)])))
    bottom, top = _plot(drawing)

    assert _corners(_of(drawing, "path", "line")[0]) == [
        (MARGIN_LEFT, bottom), ((MARGIN_LEFT + 1040 - MARGIN_RIGHT) / 2, top), (1040 - MARGIN_RIGHT, (bottom + top) / 2)
    ]  # fmt: skip


def test_a_step_keeps_its_value_until_the_next() -> None:
    """A step has only level and upright pieces, and its level piece reaches to the change."""
    drawing = _drawn(_chart(Line(label="l", points=[(0, 1), (20, 1), (50, 3), (100, 3)], step=True)))
    corners = _corners(_of(drawing, "path", "line")[0])

    assert len(corners) == 4
    assert all(before[0] == after[0] or before[1] == after[1] for before, after in pairwise(corners))
    assert corners[1][0] == corners[2][0] == pytest.approx(X.place(50, MARGIN_LEFT, 1040 - MARGIN_RIGHT))


def test_a_gap_is_not_bridged() -> None:
    """Where there is no value the line is cut."""
    drawing = _drawn(_chart(Line(label="l", points=[(0, 1), (10, 2), (20, None), (30, 3), (40, 4)])))

    assert _of(drawing, "path", "line")[0].get("d", "").count("M") == 2


@given(st.lists(st.floats(0, 10), min_size=2, max_size=100))
def test_a_long_line_keeps_its_extremes(values: list[float]) -> None:
    """Thinned to at most four points a pixel column, a line reaches its ends, its highest and its lowest value."""
    points = [(100 * index / (len(values) - 1), value) for index, value in enumerate(values)]
    right = MARGIN_LEFT + 5
    drawing = _drawn(_chart(Line(label="l", points=points), width=right + MARGIN_RIGHT))
    bottom, top = _plot(drawing)
    corners = _corners(_of(drawing, "path", "line")[0])

    def height(value: float) -> float:
        return bottom - value / 10 * (bottom - top)

    assert len(corners) <= 4 * 6
    assert max(y for _, y in corners) == pytest.approx(height(min(values)), abs=0.06)
    assert min(y for _, y in corners) == pytest.approx(height(max(values)), abs=0.06)
    assert corners[0] == pytest.approx((MARGIN_LEFT, height(values[0])), abs=0.06)
    assert corners[-1] == pytest.approx((right, height(values[-1])), abs=0.06)


def test_points_beyond_an_axis_lie_at_its_edge_hollow() -> None:
    """A value off the scale is not lost and not mistaken for one on it."""
    cloud = Points(label="c", points=[(10, 5, "in"), (20, 99, "out"), (30, math.inf, "never")], shape="cross")
    drawing = _drawn(_chart(cloud))
    _, top = _plot(drawing)
    beyond = _of(drawing, "path", "beyond")

    assert [path.findtext(SVG + "title") for path in beyond] == ["out", "never"]
    assert all(path.get("d", "").startswith(f"M{x:g} {top:g}") for path, x in zip(beyond, (251.6, 348.4), strict=True))
    assert len(_of(drawing, "path", "point")) == 3


def test_many_points_share_a_path() -> None:
    """Ten thousand points fit in a page, and those that fall on the same spot are drawn once."""
    cloud = Points(label="c", points=[(index % 100, index % 7, "") for index in range(10_000)])
    paths = _of(_drawn(_chart(cloud)), "path", "point")

    assert len(paths) == 1
    assert paths[0].get("d", "").count("M") == 700


def test_every_mark_and_band_is_there() -> None:
    """Each mark has its line at its place and its label in a badge; each band its shade, its name and its width."""
    marks = [
        Mark(x=10, label="1", text="first"),
        Mark(x=10.5, label="2", text="second"),
        Mark(x=90, label="3", text="x"),
    ]
    bands = [Band(low=0, high=50, label="calm"), Band(low=50, high=100, label="storm")]
    drawing = _drawn(_chart(marks=marks, bands=bands))

    assert [float(line.get("x1", "")) for line in _of(drawing, "line", "mark")] == [
        pytest.approx(X.place(mark.x, MARGIN_LEFT, 1040 - MARGIN_RIGHT), abs=0.06) for mark in marks
    ]
    assert [text.text for text in _of(drawing, "text", "label")] == ["1", "2", "3"]
    heights = [float(badge.get("cy", "")) for badge in _of(drawing, "circle", "badge")]
    assert heights[0] == heights[2] != heights[1]
    assert [text.text for text in _of(drawing, "text", "name")] == ["calm", "storm"]
    assert [float(box.get("width", "")) for box in _of(drawing, "rect", "band")] == [484, 484]


def test_without_names_the_lines_and_shades_stay() -> None:
    """A chart below another repeats where things happened, not what."""
    drawing = _drawn(
        _chart(marks=[Mark(x=10, label="1", text="t")], bands=[Band(low=0, high=9, label="b")], names=False)
    )

    assert not _of(drawing, "circle", "badge")
    assert not _of(drawing, "text", "name")
    assert len(_of(drawing, "line", "mark")) == len(_of(drawing, "rect", "band")) == 1


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 60)).map(lambda span: (span[0], span[0] + span[1]))))
def test_packed_spans_do_not_overlap(spans: list[tuple[int, int]]) -> None:
    """In one row no two spans overlap, and there are as many rows as spans overlap at most at one place."""
    rows = pack(spans)
    taken = list(zip(spans, rows, strict=True))

    for number, ((start, end), row) in enumerate(taken):
        assert all(end <= other[0] or other[1] <= start for other, at in taken[number + 1 :] if at == row)
    depth = max((sum(start <= place < end for start, end in spans) for place, _ in spans), default=0)
    assert max(rows, default=-1) + 1 == depth


def test_a_figure_has_a_legend_where_there_is_a_choice() -> None:
    """Several series are told apart by a legend; a single one is what the title says."""
    one, two = Line(label="only", points=[(0, 1)]), Points(label="spots & more", points=[(1, 1, "")])

    assert "legend" not in figure(_chart(one))
    assert "spots &amp; more</span>" in figure(_chart(one, two))


def test_axes_need_not_be_time() -> None:
    """Cost against latency: any two numbers, with the name of the x axis below."""
    cloud = Points(label="feasible", points=[(1.25, 0.31, "2 × L4"), (3.9, 0.12, "H100")], shape="diamond")
    chart = Chart(
        title="Candidates", description="Cost and latency of every candidate.", series=[cloud],
        x=linear_axis([1.25, 3.9], label="$ per hour"), y=linear_axis([0.31, 0.12], label="TPOT p95 (s)"),
    )  # fmt: skip
    texts = [text.text for text in _drawn(chart).iter(SVG + "text")]

    assert {"$ per hour", "TPOT p95 (s)"} <= set(texts)
    assert "0:00" not in texts


def test_no_data_still_draws_axes() -> None:
    """A run that ended at once has charts without lines."""
    empty = _chart(
        Line(label="l", points=[], area=True), Points(label="p", points=[]), x=Axis(low=0, high=1, form=format_clock)
    )

    assert _of(_drawn(empty), "text", "tick")
