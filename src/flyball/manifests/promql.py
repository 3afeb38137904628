"""PromQL built from typed pieces, so that a query that cannot work cannot be written.

A `Vector` knows the labels that its series may carry and what kind of metric it selects: grouping by a label that is
not there, a rate of a gauge or a percentile without `le` are refused here, where Prometheus would return nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from flyball.errors import UsageError

MetricType = Literal["counter", "gauge", "histogram"]
_OR, _AND, _COMPARISON, _SUM, _PRODUCT, _ATOM = range(1, 7)
"""How tightly operators bind: https://prometheus.io/docs/prometheus/latest/querying/operators/#binary-operator-precedence"""


@dataclass(frozen=True, slots=True)
class Regex:
    """A matcher's value that is a regular expression, anchored at both ends as Prometheus does."""

    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Vector:
    """A query and what is known of the series that it yields."""

    text: str
    labels: frozenset[str]
    """Labels that its series may carry; without the metric's name."""
    selectors: frozenset[str]
    """Every `metric{matchers}` in it."""
    metric_type: MetricType | None = None
    """Of a bare selector; None once something was computed."""
    binding: int = _ATOM

    @property
    def metrics(self) -> frozenset[str]:
        """Every metric that it asks for."""
        return frozenset(selector.partition("{")[0] for selector in self.selectors)

    def __str__(self) -> str:
        return self.text

    def __add__(self, other: "Vector | float") -> "Vector":
        return _arithmetic(self, "+", other, _SUM)

    def __sub__(self, other: "Vector | float") -> "Vector":
        return _arithmetic(self, "-", other, _SUM)

    def __rsub__(self, other: float) -> "Vector":
        return _made(f"{other:.12g} - {_within(self, _PRODUCT)}", self, binding=_SUM)

    def __mul__(self, other: "Vector | float") -> "Vector":
        return _arithmetic(self, "*", other, _PRODUCT)

    def __truediv__(self, other: "Vector | float") -> "Vector":
        return _arithmetic(self, "/", other, _PRODUCT)

    def is_above(self, other: "Vector | float") -> "Vector":
        return _arithmetic(self, ">", other, _COMPARISON)

    def is_at_least(self, other: "Vector | float") -> "Vector":
        return _arithmetic(self, ">=", other, _COMPARISON)

    def equals(self, other: "Vector | float") -> "Vector":
        return _arithmetic(self, "==", other, _COMPARISON)

    def where(self, other: "Vector", *, on: Iterable[str] | None = None) -> "Vector":
        """Those series for which `other` has one with the same labels, or the same of `on`."""
        return _set_operation(self, "and", other, on)

    def unless(self, other: "Vector", *, on: Iterable[str] | None = None) -> "Vector":
        return _set_operation(self, "unless", other, on)

    def or_(self, other: "Vector") -> "Vector":
        text = f"{_within(self, _OR)} or {_within(other, _OR + 1)}"
        return _made(text, self, other, labels=self.labels | other.labels, binding=_OR)


def select(name: str, *, metric_type: MetricType, labels: Iterable[str], matchers: Mapping[str, str | Regex]) -> Vector:
    """`name{matchers}`. Raises UsageError for a matcher whose label the metric lacks."""
    known = frozenset(labels)
    _require(matchers, known, name)
    inside = ",".join(_matcher(label, value) for label, value in matchers.items())
    text = f"{name}{{{inside}}}" if inside else name
    return Vector(text=text, labels=known, selectors=frozenset({text}), metric_type=metric_type)


def _matcher(label: str, value: str | Regex) -> str:
    pattern, operator = (value.pattern, "=~") if isinstance(value, Regex) else (value, "=")
    escaped = pattern.replace("\\", "\\\\").replace('"', '\\"')
    return f'{label}{operator}"{escaped}"'


def rate(counter: Vector, window: str) -> Vector:
    """Per second. Of counters and of histograms' samples alone."""
    return _of_counter("rate", counter, window)


def increase(counter: Vector, window: str) -> Vector:
    return _of_counter("increase", counter, window)


def _of_counter(function: str, counter: Vector, window: str) -> Vector:
    if counter.metric_type not in ("counter", "histogram"):
        raise ValueError(f"{function}({counter.text}): it is no counter")
    return _over(function, counter, window)


def over_time(function: Literal["last", "min", "max", "avg"], gauge: Vector, window: str) -> Vector:
    if gauge.metric_type != "gauge":
        raise ValueError(f"{function}_over_time({gauge.text}): it is no gauge")
    return _over(f"{function}_over_time", gauge, window)


def slope(gauge: Vector, window: str) -> Vector:
    """Change per second of the line through the samples."""
    if gauge.metric_type != "gauge":
        raise ValueError(f"deriv({gauge.text}): it is no gauge")
    return _over("deriv", gauge, window)


def _over(function: str, selector: Vector, window: str) -> Vector:
    return _made(f"{function}({selector.text}[{window}])", selector)


def total(vector: Vector, *by: str) -> Vector:
    return _aggregate("sum", vector, by)


def highest(vector: Vector, *by: str) -> Vector:
    return _aggregate("max", vector, by)


def lowest(vector: Vector, *by: str) -> Vector:
    return _aggregate("min", vector, by)


def number_of(vector: Vector, *by: str) -> Vector:
    return _aggregate("count", vector, by)


def _aggregate(operator: str, vector: Vector, by: tuple[str, ...]) -> Vector:
    _require(by, vector.labels, vector.text)
    grouping = f" by ({', '.join(by)}) " if by else ""
    return _made(f"{operator}{grouping}({vector.text})", vector, labels=frozenset(by))


def percentile(share: float, buckets: Vector) -> Vector:
    """`share` from 0 to 1, of buckets that still have `le`."""
    _require(("le",), buckets.labels, buckets.text)
    return _made(f"histogram_quantile({share:g}, {buckets.text})", buckets, labels=buckets.labels - {"le"})


def absent(vector: Vector) -> Vector:
    """1 while there is no such series."""
    return _made(f"absent({vector.text})", vector, labels=frozenset())


def clamp(vector: Vector, *, low: float | None = None, high: float | None = None) -> Vector:
    """At least `low`, at most `high`."""
    text = vector.text
    if low is not None:
        text = f"clamp_min({text}, {low:g})"
    if high is not None:
        text = f"clamp_max({text}, {high:g})"
    return _made(text, vector)


def seconds_since(timestamps: Vector) -> Vector:
    """Age of what the values, seconds since 1970, are the time of."""
    return _made(f"time() - {_within(timestamps, _PRODUCT)}", timestamps, binding=_SUM)


def _arithmetic(left: Vector, operator: str, right: Vector | float, binding: int) -> Vector:
    if isinstance(right, Vector):
        # Left to right, so what stands right must bind tighter.
        text = f"{_within(left, binding)} {operator} {_within(right, binding + 1)}"
        return _made(text, left, right, labels=left.labels & right.labels, binding=binding)
    return _made(f"{_within(left, binding)} {operator} {right:.12g}", left, binding=binding)


def _set_operation(left: Vector, operator: str, right: Vector, on: Iterable[str] | None) -> Vector:
    matching = "" if on is None else f" on ({', '.join(on)})"
    for side in (left, right):
        _require(on or (), side.labels, side.text)
    text = f"{_within(left, _AND)} {operator}{matching} {_within(right, _AND + 1)}"
    return _made(text, left, right, labels=left.labels, binding=_AND)


def _made(text: str, *parts: Vector, labels: frozenset[str] | None = None, binding: int = _ATOM) -> Vector:
    """Computed of `parts`; with the labels of the first, unless others are given."""
    return Vector(
        text=text,
        labels=parts[0].labels if labels is None else labels,
        selectors=frozenset().union(*(part.selectors for part in parts)),
        binding=binding,
    )


def _within(vector: Vector, binding: int) -> str:
    return vector.text if vector.binding >= binding else f"({vector.text})"


def _require(wanted: Iterable[str], known: frozenset[str], what: str) -> None:
    lacking = [label for label in wanted if label not in known]
    if lacking:
        raise UsageError(f"{what}: it has no label {lacking[0]}", fix=f"its labels are {', '.join(sorted(known))}")
