from collections.abc import Iterator
from itertools import islice, pairwise
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from flyball.spec import Arrivals, GammaArrivals, Step
from flyball.workload import arrival_times


def _gaps(times: Iterator[float], count: int) -> NDArray[np.float64]:
    return np.diff([0.0, *islice(times, count)])


def _kolmogorov_smirnov(sample: NDArray[np.float64], cdf: NDArray[np.float64]) -> float:
    """The largest distance between the sample's distribution and `cdf`, which holds the law's value at each point."""
    ranks = np.arange(1, len(sample) + 1) / len(sample)
    order = np.argsort(sample)
    return float(max(np.abs(cdf[order] - ranks).max(), np.abs(cdf[order] - ranks + 1 / len(sample)).max()))


def _rejected_at_1_percent(distance: float, count: int) -> bool:
    return distance > 1.63 / sqrt(count)


def test_poisson_gaps_are_exponential() -> None:
    """The gaps follow the exponential law of the rate, and would be told from that of a rate 5 % away."""
    gaps = _gaps(arrival_times(Arrivals(poisson=20.0), np.random.default_rng(1)), 20_000)
    assert not _rejected_at_1_percent(_kolmogorov_smirnov(gaps, 1 - np.exp(-20.0 * gaps)), len(gaps))
    assert _rejected_at_1_percent(_kolmogorov_smirnov(gaps, 1 - np.exp(-21.0 * gaps)), len(gaps))


def test_poisson_gaps_are_independent() -> None:
    """A gap says nothing about the next one."""
    gaps = _gaps(arrival_times(Arrivals(poisson=3.0), np.random.default_rng(2)), 20_000)
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 4 / np.sqrt(len(gaps))


def test_poisson_counts_vary_as_poisson_counts() -> None:
    """The number of arrivals in 50 s has its mean as its variance; times scaled to hit a count would have less."""
    counts = []
    for seed in range(400):
        times = arrival_times(Arrivals(poisson=2.0), np.random.default_rng(seed))
        counts.append(sum(1 for _ in _until(times, 50.0)))
    assert np.mean(counts) == pytest.approx(100, abs=4 * 10 / np.sqrt(400))
    assert np.var(counts) == pytest.approx(100, rel=0.3)


@pytest.mark.parametrize("cv", [0.2, 1.0, 3.0])
def test_gamma_has_the_asked_rate_and_burstiness(cv: float) -> None:
    """Mean and coefficient of variation of the gaps are those asked for."""
    arrivals = Arrivals(gamma=GammaArrivals(rate=5.0, cv=cv))
    gaps = _gaps(arrival_times(arrivals, np.random.default_rng(3)), 100_000)
    assert gaps.mean() == pytest.approx(0.2, rel=5 * cv / np.sqrt(len(gaps)))
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.05)


def test_gamma_of_cv_1_is_poisson() -> None:
    """At a coefficient of variation of 1 the gaps are exponential."""
    gaps = _gaps(arrival_times(Arrivals(gamma=GammaArrivals(rate=8.0, cv=1.0)), np.random.default_rng(4)), 20_000)
    assert not _rejected_at_1_percent(_kolmogorov_smirnov(gaps, 1 - np.exp(-8.0 * gaps)), len(gaps))


def test_steps_hold_their_rates_and_end() -> None:
    """Each stretch has arrivals at its own rate, a silent one has none, and the last one ends the stream."""
    steps = (Step(rate=10.0, duration=400.0), Step(rate=0.0, duration=100.0), Step(rate=40.0, duration=200.0))
    times = np.array(list(arrival_times(Arrivals(step=steps), np.random.default_rng(5))))
    counts, _ = np.histogram(times, bins=[0, 400, 500, 700])
    assert counts[0] == pytest.approx(4000, abs=4 * np.sqrt(4000))
    assert counts[1] == 0
    assert counts[2] == pytest.approx(8000, abs=4 * np.sqrt(8000))
    assert times.max() < 700
    within = np.diff(times[times >= 500])
    assert not _rejected_at_1_percent(_kolmogorov_smirnov(within, 1 - np.exp(-40.0 * within)), len(within))


def test_a_trace_is_replayed_as_recorded() -> None:
    """A trace's arrival times are those of its recording."""
    times = arrival_times(Arrivals(trace="x.csv"), np.random.default_rng(0), recorded=(0.0, 0.5, 0.5, 9.25))
    assert list(times) == [0.0, 0.5, 0.5, 9.25]


def test_a_closed_loop_has_no_arrival_times() -> None:
    """Asking a closed loop for arrival times is an error, not an empty stream."""
    with pytest.raises(ValueError, match="closed loop"):
        next(arrival_times(Arrivals(closed_loop=4), np.random.default_rng(0)))


@given(
    st.one_of(
        st.floats(0.01, 1e4).map(lambda rate: Arrivals(poisson=rate)),
        st.builds(GammaArrivals, rate=st.floats(0.01, 1e4), cv=st.floats(0.01, 20)).map(lambda g: Arrivals(gamma=g)),
        st.lists(st.builds(Step, rate=st.floats(0, 50), duration=st.floats(0.01, 30)), min_size=1, max_size=4).map(
            lambda steps: Arrivals(step=tuple(steps))
        ),
    ),
    st.integers(0, 2**32),
)
def test_times_never_fall_and_repeat_with_the_seed(arrivals: Arrivals, seed: int) -> None:
    """Whatever the shape: times start at or after 0, never go back, and are the same for the same seed."""
    times = list(islice(arrival_times(arrivals, np.random.default_rng(seed)), 300))
    assert all(time >= 0 for time in times)
    assert all(earlier <= later for earlier, later in pairwise(times))
    assert times == list(islice(arrival_times(arrivals, np.random.default_rng(seed)), 300))


def _until(times: Iterator[float], end: float) -> Iterator[float]:
    for time in times:
        if time >= end:
            return
        yield time
