"""The search along one flag without a model."""

import math

from hypothesis import given
from hypothesis import strategies as st

from flyball.tune.line_search import next_position
from flyball.tune.side import Side


@given(st.integers(1, 200), st.data())
def test_the_peak_is_found(length: int, data: st.DataObject) -> None:
    """Of any function with one peak, rising and falling ones among them, from any beginning."""
    peak, start = (data.draw(st.integers(0, length - 1)) for _ in range(2))
    steps = data.draw(st.lists(st.floats(0.01, 10), min_size=length, max_size=length))
    values = [0.0] * length
    for right in range(peak + 1, length):
        values[right] = values[right - 1] - steps[right]
    for left in range(peak - 1, -1, -1):
        values[left] = values[left + 1] - steps[left]
    measured = {start: values[start]}
    while (position := next_position(measured, length, {})) is not None:
        assert position not in measured
        measured[position] = values[position]
    assert max(measured, key=measured.__getitem__) == peak
    assert len(measured) <= 4 + 3 * math.log2(length + 1)


def test_few_of_many_are_measured() -> None:
    """A peak among 64 values costs 11 measurements at most."""
    worst = 0
    for peak in range(64):
        measured = {0: -float(peak)}
        while (position := next_position(measured, 64, {})) is not None:
            measured[position] = -abs(float(position - peak))
        worst = max(worst, len(measured))
    assert worst <= 13


def test_a_single_value_needs_nothing() -> None:
    """What is fixed is not searched."""
    assert next_position({0: 1.0}, 1, {}) is None


@given(st.integers(2, 200), st.data())
def test_sides_halve_what_is_left(length: int, data: st.DataObject) -> None:
    """Where each measurement says on which side the peak is, it is found in the logarithm of the number of values."""
    peak, start = (data.draw(st.integers(0, length - 1)) for _ in range(2))
    measured = {start: -abs(float(start - peak))}
    sides: dict[int, Side] = {}
    while True:
        sides |= {at: Side.ABOVE if at < peak else Side.BELOW for at in measured}
        position = next_position(measured, length, sides)
        if position is None:
            break
        assert position not in measured
        measured[position] = -abs(float(position - peak))
    assert max(measured, key=measured.__getitem__) == peak
    assert len(measured) <= 3 + math.log2(length)


def test_sides_that_contradict_each_other_are_not_believed() -> None:
    """The rates alone decide then."""
    measured = {1: 1.0, 6: 2.0}
    assert next_position(measured, 8, {1: Side.BELOW, 6: Side.ABOVE}) == next_position(measured, 8, {})
