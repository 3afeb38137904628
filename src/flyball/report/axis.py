"""Axes: from values to pixels, and where the ticks go. Pure."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_CLOCK_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


def format_number(value: float) -> str:
    """Four figures at most, thousands apart: `0.25`, `12`, `1,500`."""
    if value == 0:
        return "0"
    digits = max(0, 3 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_seconds(value: float) -> str:
    """A latency as people say it: `35 ms`, `1.25 s`, `120 s`."""
    if value == 0:
        return "0"
    if abs(value) < 0.9995:
        return f"{value * 1000:.0f} ms" if abs(value) >= 0.00995 else f"{value * 1000:.1f} ms"
    return f"{value:.2f} s" if abs(value) < 9.995 else f"{value:,.1f} s" if abs(value) < 99.95 else f"{value:,.0f} s"


def format_latency_tick(value: float) -> str:
    """A round latency on an axis: `50 ms`, `1 s`."""
    return "0" if value == 0 else f"{value * 1000:g} ms" if value < 1 else f"{value:g} s"


def format_clock(value: float) -> str:
    """Seconds since the start as `3:05`, or `1:03:05` from an hour on."""
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A range of values and how it is written.

    `clock` counts seconds and ticks at 15, 30, 60, ... of them; `whole` ticks at whole numbers only.
    """

    low: float
    high: float
    label: str = ""
    log: bool = False
    clock: bool = False
    whole: bool = False
    form: Callable[[float], str] = format_number

    def place(self, value: float, start_px: float, end_px: float) -> float:
        """The pixel of `value` where `low` lies at `start_px` and `high` at `end_px`; outside values at the edge."""
        inside = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(inside / self.low) / math.log(self.high / self.low)
        else:
            share = (inside - self.low) / (self.high - self.low)
        return start_px + share * (end_px - start_px)

    def holds(self, value: float) -> bool:
        """Whether `value` is on the axis, not beyond its ends."""
        return self.low <= value <= self.high

    def ticks(self, most: int) -> list[float]:
        """At most `most` round values between `low` and `high`, ends included."""
        if self.log:
            return _log_ticks(self.low, self.high, most)
        step = _clock_step(self.high - self.low, most) if self.clock else _step(self.high - self.low, most)
        step = max(step, 1.0) if self.whole else step
        slack = step * 1e-9
        first = math.ceil((self.low - slack) / step)
        last = math.floor((self.high + slack) / step)
        return [_round(index * step) for index in range(first, last + 1)]


def linear_axis(
    values: Iterable[float],
    *,
    form: Callable[[float], str] = format_number,
    label: str = "",
    whole: bool = False,
    most: int = 5,
) -> Axis:
    """From 0 to a round number that covers the values."""
    top = max([value for value in values if math.isfinite(value)], default=0.0)
    step = _step(top, most) if top > 0 else 1.0
    step = max(step, 1.0) if whole else step
    high = _round(max(1, math.ceil(top / step - 1e-9)) * step)
    return Axis(low=0.0, high=high, form=form, label=label, whole=whole)


def log_axis(
    values: Iterable[float], *, form: Callable[[float], str] = format_number, label: str = "", least: float = 1e-3
) -> Axis:
    """From a round number (1, 2, 5 of a decade) to another that cover the values above 0; at least a decade.

    Values below `least` are left to the lower edge.
    """
    positive = [max(value, least) for value in values if math.isfinite(value) and value > 0] or [least, 10 * least]
    low, high = _round_log(min(positive), up=False), _round_log(max(positive), up=True)
    return Axis(low=low, high=max(high, _round(10 * low)), log=True, form=form, label=label)


def _step(span: float, most: int) -> float:
    """The smallest of 1, 2, 5 of a decade that cuts `span` into fewer than `most` pieces, so that `most` ticks fit."""
    raw = span / max(1, most - 1)
    decade = 10.0 ** math.floor(math.log10(raw))
    return next(factor * decade for factor in (1, 2, 5, 10) if factor * decade >= raw * (1 - 1e-9))


def _clock_step(span_s: float, most: int) -> float:
    fits = (step for step in _CLOCK_STEPS_S if span_s / step <= most - 1)
    return float(next(fits, 86400 * math.ceil(span_s / 86400 / max(1, most - 1))))


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        ticks = [_round(factor * 10.0**decade) for decade in decades for factor in factors]
        ticks = [tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
        if len(ticks) <= most:
            return ticks
    return ticks[:: math.ceil(len(ticks) / most)]


def _round_log(value: float, *, up: bool) -> float:
    decade = 10.0 ** math.floor(math.log10(value))
    steps = [_round(factor * decade) for factor in (1, 2, 5, 10)]
    if up:
        return next(step for step in steps if step >= value * (1 - 1e-9))
    return next(step for step in reversed(steps) if step <= value * (1 + 1e-9))


def _round(value: float) -> float:
    """Without the dust of binary fractions: 0.30000000000000004 is 0.3."""
    return float(f"{value:.12g}")
