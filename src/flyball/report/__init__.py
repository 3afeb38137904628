"""Results as self-contained HTML pages: text in, text out; no script, no file, no address is needed to read one."""

from flyball.report.axis import (
    Axis,
    format_clock,
    format_latency_tick,
    format_number,
    format_seconds,
    linear_axis,
    log_axis,
)
from flyball.report.chart import Band, Chart, Line, Mark, Objective, Points
from flyball.report.drawing import figure, svg
from flyball.report.markup import Markup, join, tag
from flyball.report.proof_page import proof_page
from flyball.report.style import CHART_STYLE, PAGE_STYLE

__all__ = [
    "CHART_STYLE",
    "PAGE_STYLE",
    "Axis",
    "Band",
    "Chart",
    "Line",
    "Mark",
    "Markup",
    "Objective",
    "Points",
    "figure",
    "format_clock",
    "format_latency_tick",
    "format_number",
    "format_seconds",
    "join",
    "linear_axis",
    "log_axis",
    "proof_page",
    "svg",
    "tag",
]
