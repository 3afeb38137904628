"""The search along one flag without a model."""

import math

from hypothesis import given
from hypothesis import strategies as st

from flyball.tune.line_search import next_position


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
    while (position := next_position(measured, length)) is not None:
        assert position not in measured
        measured[position] = values[position]
    assert max(measured, key=measured.__getitem__) == peak
    assert len(measured) <= 4 + 3 * math.log2(length + 1)


def test_few_of_many_are_measured() -> None:
    """A peak among 64 values costs 11 measurements at most."""
    worst = 0
    for peak in range(64):
        measured = {0: -float(peak)}
        while (position := next_position(measured, 64)) is not None:
            measured[position] = -abs(float(position - peak))
        worst = max(worst, len(measured))
    assert worst <= 13


def test_a_single_value_needs_nothing() -> None:
    """What is fixed is not searched."""
    assert next_position({0: 1.0}, 1) is None
