"""The search for the rate that holds, and what several searches say together."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.tune.rate_search import RUN_TO_RUN, Bracket, Estimate, Tried, bracket, next_rate

RATES = st.floats(0.05, 500)


@given(RATES, st.floats(0.02, 50), st.sampled_from([0.02, 0.05, 0.2]))
def test_the_bracket_closes_around_the_truth(truth: float, factor: float, resolution: float) -> None:
    """From a guess up to fifty times off in either direction, in few loads."""
    guess = truth * factor
    tried: list[Tried] = []
    while (rate := next_rate(tried, guess=guess, resolution=resolution)) is not None:
        tried.append(Tried(rate=rate, held=rate <= truth))
        assert len(tried) <= 25
    found = bracket(tried)
    assert found.low <= truth < found.high
    assert found.high <= found.low * (1 + resolution) * (1 + 1e-12)


def test_a_good_guess_costs_few_loads() -> None:
    """A tenth off: six loads to 5 %."""
    tried: list[Tried] = []
    while (rate := next_rate(tried, guess=11.0, resolution=0.05)) is not None:
        tried.append(Tried(rate=rate, held=rate <= 10.0))
    assert len(tried) <= 6


def test_it_gives_up_where_nothing_holds() -> None:
    """An engine that misses at every rate is no endless search."""
    tried: list[Tried] = []
    while (rate := next_rate(tried, guess=8.0, resolution=0.05)) is not None:
        tried.append(Tried(rate=rate, held=False))
    assert 5 < len(tried) < 15
    assert bracket(tried).rate == 0


@given(st.lists(st.tuples(RATES, st.booleans()), min_size=1, max_size=12, unique_by=lambda each: each[0]))
def test_contradictions_end_too(answers: list[tuple[float, bool]]) -> None:
    """Chance may let a higher rate hold and a lower one miss; the bracket stays one."""
    found = bracket([Tried(rate=rate, held=held) for rate, held in answers])
    assert found.low < found.high
    assert 0 <= found.rate <= found.high


def test_more_searches_are_surer() -> None:
    """The error falls with the searches, and rises with their scatter."""
    once = Estimate.of([Bracket(low=10, high=10.5)])
    twice = Estimate.of([Bracket(low=10, high=10.5)] * 2)
    apart = Estimate.of([Bracket(low=10, high=10.5), Bracket(low=13, high=13.6)])
    assert once.error > twice.error
    assert apart.error > once.error
    assert once.error == pytest.approx(math.hypot(math.log(1.05) / math.sqrt(12), RUN_TO_RUN))
    assert apart.rate == pytest.approx(math.sqrt(10.25 * 13.3), rel=0.01)


def test_one_search_that_finds_nothing_decides() -> None:
    """A set of flags that held nothing in one of its searches is not averaged away."""
    assert Estimate.of([Bracket(low=10, high=10.5), Bracket(low=0, high=1)]).rate == 0


def test_gains_over_nothing() -> None:
    """Comparisons with a start that held no rate have an answer."""
    none, some = Estimate(rate=0.0, error=0.0, rounds=1), Estimate(rate=2.0, error=0.1, rounds=1)
    assert some.gain_over(none) == math.inf
    assert some.z_over(none) == math.inf
    assert none.z_over(some) == -math.inf
    assert none.z_over(none) == 0
