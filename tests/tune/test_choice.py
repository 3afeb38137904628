"""The winner: never worse than the start."""

import numpy as np
import pytest

from flyball.tune.choice import best, chosen, needs_repeat
from flyball.tune.rate_search import Estimate
from virtual_tuning import trial


def test_a_refused_trial_wins_nothing() -> None:
    """Neither does a search in which nothing held."""
    assert chosen([]) is None
    assert chosen([trial(0, 2, 0.0)]) is None
    assert best([trial(0, 2, 0.0), trial(1, 4, 1.0)]) is not None


def test_a_start_that_holds_nothing_is_beaten_by_anything() -> None:
    """An engine that does not boot is no baseline to defend."""
    found = chosen([trial(0, 2, 0.0), trial(1, 4, 1.0)])
    assert found is not None
    assert found.number == 1


def test_a_lead_within_the_noise_is_none() -> None:
    """One per cent more by searches that are 2 % uncertain: the start stays."""
    found = chosen([trial(0, 2, 10.0), trial(1, 4, 10.1), trial(2, 8, 9.0)])
    assert found is not None
    assert found.number == 0
    found = chosen([trial(0, 2, 10.0), trial(1, 4, 10.1), trial(2, 8, 12.0)])
    assert found is not None
    assert found.number == 2


@pytest.mark.parametrize(("worse", "most"), [(0.0, 0.45), (1.5, 0.07), (4.0, 0.005)])
def test_it_is_rarely_worse_than_the_start(worse: float, most: float) -> None:
    """Rivals worse by no, some or many standard deviations of a search win by noise sometimes, rarely or never."""
    rng = np.random.default_rng(0)
    error = trial(0, 2, 10.0).estimate.error
    changed = 0
    for _ in range(400):
        rates = 10 * np.exp(rng.normal(0, error, 4)) * np.exp(-error * worse * np.array([0, 1, 1, 1]))
        found = chosen([trial(number, 2 + number, float(rate)) for number, rate in enumerate(rates)])
        assert found is not None
        changed += found.number != 0
    assert changed / 400 <= most


def test_close_calls_are_repeated_and_clear_ones_are_not() -> None:
    """While chance could have turned the order round, at most three times."""
    mine = Estimate(rate=10.0, error=0.025, rounds=1)
    assert needs_repeat(mine, Estimate(rate=10.3, error=0.025, rounds=1))
    assert not needs_repeat(mine, Estimate(rate=15.0, error=0.025, rounds=1))
    assert not needs_repeat(mine, None)
    assert not needs_repeat(Estimate(rate=10.0, error=0.02, rounds=3), mine)
