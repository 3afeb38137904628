"""Grafana panels as values, and their JSON."""

from dataclasses import dataclass
from typing import Any, Literal

from flyball.manifests.promql import Vector

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
"""Of Grafana's grid."""
_HEIGHT = 8
_ROW_HEIGHT = 1
_COLORS = ("green", "red")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One query and how its series are called in the legend."""

    query: Vector
    legend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    title: str
    description: str
    unit: str
    """Grafana's id of a unit (`s`, `percentunit`, `reqps`, `currencyUSD`, ...)."""
    lines: tuple[Line, ...]
    kind: Literal["timeseries", "stat"] = "timeseries"
    limit: float | None = None
    """Drawn as a line (time series), or the value from which it is red (stat)."""
    width: int = 8
    is_stacked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


def panels_json(rows: tuple[Row, ...]) -> list[dict[str, Any]]:
    """Rows and panels with ids and places: from left to right, a new line where one does not fit."""
    placed: list[dict[str, Any]] = []
    y = 0
    for row in rows:
        position = {"h": _ROW_HEIGHT, "w": COLUMNS, "x": 0, "y": y}
        placed.append(
            {
                "id": len(placed) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": position,
                "panels": [],
            }
        )
        x, y = 0, y + _ROW_HEIGHT
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y = 0, y + _HEIGHT
            position = {"h": _HEIGHT, "w": panel.width, "x": x, "y": y}
            placed.append(_panel(panel, number=len(placed) + 1, position=position))
            x += panel.width
        y += _HEIGHT
    return placed


def _panel(panel: Panel, *, number: int, position: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.limit is not None:
        values = (None, panel.limit)
        steps = [{"color": color, "value": value} for color, value in zip(_COLORS, values, strict=True)]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
    if panel.kind == "timeseries":
        defaults["custom"] = {
            "fillOpacity": 20 if panel.is_stacked else 0,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.is_stacked else "none"},
            "thresholdsStyle": {"mode": "off" if panel.limit is None else "line"},
        }
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": position,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {"tooltip": {"mode": "multi", "sort": "desc"}} if panel.kind == "timeseries" else {},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": DATASOURCE,
                "expr": str(line.query),
                "legendFormat": line.legend,
            }
            for index, line in enumerate(panel.lines)
        ],
    }
