import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.measurement import Distribution, percentile

_SECONDS = st.floats(0, 1e6, allow_subnormal=False)


@given(st.lists(_SECONDS, min_size=1, max_size=200), st.floats(0, 100))
def test_percentile_is_numpys_linear_one(values: list[float], percent: float) -> None:
    """For finite values the percentile is numpy's default."""
    assert percentile(sorted(values), percent) == pytest.approx(np.percentile(values, percent), rel=1e-9, abs=1e-9)


@given(st.lists(_SECONDS, min_size=1, max_size=50), st.integers(1, 50), st.sampled_from([50, 90, 95, 99]))
def test_percentile_reaches_infinity_where_failures_begin(served: list[float], failures: int, percent: int) -> None:
    """With infinite values on top, the percentile is infinite exactly if its rank lies above the last finite value."""
    measured = percentile([*sorted(served), *[math.inf] * failures], percent)
    rank = percent / 100 * (len(served) + failures - 1)
    assert math.isinf(measured) == (rank > len(served) - 1)
    assert not math.isnan(measured)


def test_distribution_of_known_values() -> None:
    """One to a hundred seconds, in any order."""
    distribution = Distribution.of([float(value) for value in range(100, 0, -1)])
    assert distribution.count == 100
    assert distribution.mean_s == 50.5
    assert distribution.p50_s == 50.5
    assert distribution.p90_s == pytest.approx(90.1)
    assert distribution.p95_s == pytest.approx(95.05)
    assert distribution.p99_s == pytest.approx(99.01)
    assert distribution.max_s == 100.0


def test_nothing_has_no_statistics() -> None:
    """Without values there is a count of 0 and no number that could be mistaken for a latency."""
    assert set(Distribution.of([]).to_dict().values()) == {0, None}


@given(st.lists(_SECONDS, min_size=1, max_size=100))
def test_percentiles_rise(values: list[float]) -> None:
    """A higher percentile is never lower, and none leaves the range of the values."""
    found = Distribution.of(values)
    steps = [min(values), found.p50_s, found.p90_s, found.p95_s, found.p99_s, found.max_s]
    assert all(low <= high + 1e-9 for low, high in pairwise(steps) if low is not None and high is not None)
    assert found.max_s == max(values)
