import math
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flyball.report import Axis, format_clock, format_latency_tick, format_number, format_seconds, linear_axis, log_axis

VALUES = st.lists(st.floats(min_value=0, max_value=1e9, allow_subnormal=False), max_size=20)


@given(VALUES, st.integers(3, 12))
def test_a_linear_axis_covers_its_values_with_ticks(values: list[float], most: int) -> None:
    """The ticks begin at 0, end at or above the largest value, are evenly spaced and no more than asked for."""
    assume(not values or max(values) == 0 or max(values) > 1e-9)
    axis = linear_axis(values, most=most)
    ticks = axis.ticks(most)

    assert ticks[0] == 0
    assert ticks[-1] == axis.high >= max(values, default=0) * (1 - 1e-9)
    assert len(ticks) <= most + 1
    gaps = [after - before for before, after in pairwise(ticks)]
    assert max(gaps) == pytest.approx(min(gaps))


@given(VALUES, st.integers(3, 12))
def test_a_log_axis_covers_its_positive_values(values: list[float], most: int) -> None:
    """Values from a millisecond on lie on the axis; the ticks rise, lie on it too and are no more than asked for."""
    axis = log_axis(values)
    ticks = axis.ticks(most)

    assert all(axis.low <= value * (1 + 1e-9) and value <= axis.high * (1 + 1e-9) for value in values if value >= 1e-3)
    assert axis.high / axis.low >= 10 * (1 - 1e-9)
    assert ticks == sorted(set(ticks))
    assert 1 <= len(ticks) <= most
    assert all(axis.low * (1 - 1e-9) <= tick <= axis.high * (1 + 1e-9) for tick in ticks)


@pytest.mark.parametrize("axis", [Axis(low=0, high=8), Axis(low=0.1, high=100, log=True)])
def test_the_ends_of_an_axis_are_its_pixels(axis: Axis) -> None:
    """The low end lies at the first pixel, the high end at the second; what is beyond lies at the nearer end."""
    assert axis.place(axis.low, 300, 100) == 300
    assert axis.place(axis.high, 300, 100) == pytest.approx(100)
    assert axis.place(-5, 300, 100) == 300
    assert axis.place(math.inf, 300, 100) == pytest.approx(100)


def test_places_between_the_ends() -> None:
    """A linear axis has equal differences equally far apart, a logarithmic one equal ratios."""
    assert Axis(low=0, high=8).place(2, 0, 400) == pytest.approx(100)
    assert Axis(low=0.1, high=100, log=True).place(1, 0, 300) == pytest.approx(100)


def test_a_clock_ticks_at_times_that_people_know() -> None:
    """Seven minutes in at most 12 ticks are half minutes away from each other only if that fits: here it is minutes."""
    axis = Axis(low=0, high=420, clock=True, form=format_clock)

    assert [axis.form(tick) for tick in axis.ticks(12)] == [f"{minute}:00" for minute in range(8)]
    assert Axis(low=0, high=75, clock=True).ticks(12) == [0, 10, 20, 30, 40, 50, 60, 70]


def test_whole_axes_count_things() -> None:
    """Replicas have no halves."""
    assert linear_axis([1], whole=True).ticks(6) == [0, 1]
    assert linear_axis([3], whole=True).ticks(6) == [0, 1, 2, 3]


def test_no_values_make_an_axis_too() -> None:
    """Without data there is still something to draw on."""
    assert linear_axis([]).ticks(5)[-1] == 1
    assert len(log_axis([]).ticks(5)) > 1


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        (format_number, 0, "0"),
        (format_number, 0.25, "0.25"),
        (format_number, 1500, "1,500"),
        (format_number, 12.345678, "12.35"),
        (format_seconds, 0.0042, "4.2 ms"),
        (format_seconds, 0.35, "350 ms"),
        (format_seconds, 0.9999, "1.00 s"),
        (format_seconds, 12.34, "12.3 s"),
        (format_seconds, 1234.5, "1,234 s"),
        (format_latency_tick, 0.05, "50 ms"),
        (format_latency_tick, 4.0, "4 s"),
        (format_clock, 185.4, "3:05"),
        (format_clock, 3785, "1:03:05"),
    ],
)
def test_numbers_as_people_write_them(form: object, value: float, text: str) -> None:
    """Units and figures as in the table."""
    assert callable(form)
    assert form(value) == text
