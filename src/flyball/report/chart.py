"""What a chart shows: lines, steps, areas, points, objective lines, shaded bands and numbered marks on two axes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from flyball.report.axis import Axis
from flyball.report.glyphs import Shape

Tone = Literal["blue", "orange", "green", "red", "violet", "ink", "muted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A series of (x, y), rising in x; a y of None is a gap. `step` keeps a value until the next point."""

    label: str
    points: Sequence[tuple[float, float | None]]
    tone: Tone = "blue"
    step: bool = False
    dashed: bool = False
    area: bool = False
    """Filled down to the x axis. To stack, give sums, the highest first: later lines cover earlier ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """A cloud of (x, y, what it is)."""

    label: str
    points: Sequence[tuple[float, float, str]]
    tone: Tone = "blue"
    shape: Shape = "dot"
    names: Sequence[str] = ()
    """Written beside the points, where there are few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A horizontal bound with its name."""

    y: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A named stretch of the x axis."""

    low: float
    high: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something that happened at `x`. `label` stands in a badge above the plot; `text` explains it."""

    x: float
    label: str
    text: str
    tone: Tone = "ink"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What is drawn. Series are painted in the order given, points over lines."""

    title: str
    description: str
    """For readers who do not see the drawing."""
    x: Axis
    y: Axis
    series: Sequence[Line | Points] = ()
    objectives: Sequence[Objective] = ()
    bands: Sequence[Band] = ()
    marks: Sequence[Mark] = ()
    names: bool = True
    """Whether bands and marks show their labels above the plot; shades and lines are drawn in any case."""
    width: float = 1040.0
    plot_height: float = 150.0
