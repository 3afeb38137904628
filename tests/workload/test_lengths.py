from itertools import islice
from math import erf, exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.spec import Lengths, LogNormal
from flyball.workload import LengthHistogram, token_counts


def test_fixed_is_always_the_same() -> None:
    """A fixed length does not vary."""
    assert list(islice(token_counts(Lengths(fixed=37), np.random.default_rng(0)), 5)) == [37] * 5


def test_log_normal_follows_its_law() -> None:
    """The counts' logarithms are normal with the given mean and deviation, up to rounding to whole tokens."""
    lengths = Lengths(lognormal=LogNormal(mu=6.0, sigma=0.6, min=1))
    counts = np.array(list(islice(token_counts(lengths, np.random.default_rng(1)), 20_000)))
    assert np.median(counts) == pytest.approx(exp(6.0), rel=0.02)
    assert counts.mean() == pytest.approx(exp(6.0 + 0.6**2 / 2), rel=0.02)
    ordered = np.sort(counts)
    # Half a token below the next count is where rounding puts the border.
    law = np.array([0.5 * (1 + erf((log(count + 0.5) - 6.0) / (0.6 * sqrt(2)))) for count in ordered])
    ranks = np.searchsorted(ordered, ordered, side="right") / len(ordered)
    assert np.abs(law - ranks).max() < 1.63 / sqrt(len(ordered))


def test_log_normal_is_cut_at_its_bounds() -> None:
    """No count is below `min` or above `max`, and what lies outside is moved to the bound."""
    lengths = Lengths(lognormal=LogNormal(mu=4.0, sigma=2.0, min=20, max=100))
    counts = np.array(list(islice(token_counts(lengths, np.random.default_rng(2)), 5_000)))
    assert counts.min() == 20
    assert counts.max() == 100
    assert (counts == 20).mean() > 0.2


def test_empirical_draws_counts_by_weight() -> None:
    """Counts come as often as their weights say, whatever the weights' scale; weight 0 never."""
    recorded = LengthHistogram(tokens=(5, 50, 500), weights=(3.0, 0.0, 9.0))
    counts = list(islice(token_counts(Lengths(empirical="x"), np.random.default_rng(3), recorded=recorded), 40_000))
    assert set(counts) == {5, 500}
    assert counts.count(5) / len(counts) == pytest.approx(0.25, abs=4 * sqrt(0.25 * 0.75 / len(counts)))


def test_empirical_needs_its_recording() -> None:
    """An empirical length without what its file holds is an error."""
    with pytest.raises(ValueError, match="needs what its file holds"):
        next(token_counts(Lengths(empirical="x"), np.random.default_rng(0)))


@given(st.floats(-5, 14), st.floats(0, 4), st.integers(0, 2**32))
def test_every_count_is_a_whole_number_of_at_least_1(mu: float, sigma: float, seed: int) -> None:
    """No log-normal of the spec's range draws a length that a server would refuse to read."""
    lengths = Lengths(lognormal=LogNormal(mu=mu, sigma=sigma, min=1))
    for count in islice(token_counts(lengths, np.random.default_rng(seed)), 50):
        assert isinstance(count, int)
        assert count >= 1
