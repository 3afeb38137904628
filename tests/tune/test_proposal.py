"""What is tried next: beliefs, when to stop, when the model is no longer asked."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.tune.posterior import Belief, Measured, believe
from flyball.tune.prediction import Expectation, Predictor
from flyball.tune.proposal import Finished, Proposal, propose, refutation
from flyball.tune.trial import Flags
from virtual_tuning import trial

SPACE: list[Flags] = [{"max_num_seqs": 2**power} for power in range(1, 9)]


def test_nothing_measured_is_the_prediction() -> None:
    """With the calibration's error as its deviation, and somewhat more for what differs from place to place."""
    (found,) = believe([(4.0,)], [10.0], [], error=0.2)
    assert found.rate == pytest.approx(10)
    assert 0.2 < found.deviation < 0.3


def test_a_clock_that_runs_wrong_is_learnt_from_one_trial() -> None:
    """All predictions move with the first measurement, near ones the most and the surest."""
    measured = [Measured(place=(4.0,), log_ratio=math.log(0.7), error=0.02)]
    here, near, far = believe([(4.0,), (5.0,), (10.0,)], [10.0, 10.0, 10.0], measured, error=0.3)
    assert here.rate == pytest.approx(7.0, rel=0.02)
    assert here.deviation < near.deviation < far.deviation
    assert 7.0 < near.rate < far.rate < 9.0


@given(st.floats(-1, 1), st.floats(0.01, 0.8))
def test_expected_gain_is_the_mean_of_improvements(gap: float, deviation: float) -> None:
    """As drawing from the belief says."""
    draws = np.exp(np.random.default_rng(0).normal(gap, deviation, 200_000)) - 1
    expected = float(np.maximum(draws, 0).mean())
    assert Belief(mean=gap, deviation=deviation).gain_over(1.0) == pytest.approx(expected, rel=0.03, abs=2e-3)


def test_anything_is_a_gain_over_nothing() -> None:
    """While no rate holds, there is no reason to stop."""
    assert Belief(mean=-3.0, deviation=0.1).gain_over(0.0) == math.inf


class Says(Predictor):
    """A model that says the same of all flags."""

    def __init__(self, rate: float, error: float = 0.1) -> None:
        self.rate, self.error = rate, error

    def expect(self, flags: Flags) -> Expectation:
        return Expectation(rate=self.rate, bound="TTFT p95 200 ms", saturation_rate=2 * self.rate)


def test_a_missed_prediction_refutes_the_model() -> None:
    """One that its own interval does not allow; the start's, from the data sheet, does not count."""
    assert refutation([trial(0, 2, 5.0, expected=50.0)], Says(5.0)) is None
    assert refutation([trial(0, 2, 5.0), trial(1, 8, 6.0, expected=7.0)], Says(5.5)) is None
    said = refutation([trial(0, 2, 5.0), trial(1, 8, 5.0, expected=10.0)], Says(5.0))
    assert said == "trial 1 held 5.1 requests/s where it expected 10"


def test_a_model_that_cannot_be_corrected_is_refuted() -> None:
    """Its factors were fitted to the start's own loads, and it still says something else of the start."""
    said = refutation([trial(0, 2, 5.0)], Says(20.0))
    assert said == "trial 0 held 5.1 requests/s, and corrected by its loads it says 20"
    found = propose(SPACE, [trial(0, 2, 5.0)], Says(20.0), worth=0.01)
    assert isinstance(found, Proposal)
    assert "refuted" in found.why


def test_a_rate_where_none_was_expected_refutes_too() -> None:
    """And none where one was; flags that did not start say nothing about speed."""
    assert refutation([trial(0, 2, 5.0)], Says(0.0)) is not None
    assert refutation([trial(0, 2, 0.0)], Says(5.0)) is None


def test_a_gain_that_pays_no_restart_ends_the_search() -> None:
    """What is left is predicted as good as what there is: it stops, with the numbers."""
    trials = [trial(number, 2 ** (number + 1), 5.0) for number in range(5)]
    found = propose(SPACE, trials, Says(5.0, error=0.02), worth=0.05)
    assert isinstance(found, Finished)
    assert "has to promise 5.0%" in found.why


def test_a_refuted_model_is_not_asked() -> None:
    """The search goes on along max_num_seqs, and says why."""
    trials = [trial(0, 2, 5.0), trial(1, 64, 4.0, expected=10.0)]
    found = propose(SPACE, trials, None, worth=0.01)
    assert isinstance(found, Proposal)
    assert "no model" in found.why
    assert 2 < int(found.flags["max_num_seqs"]) < 64


@given(st.integers(0, 7), st.integers(0, 7), st.floats(1.25, 3))
def test_without_a_model_the_peak_is_found(peak: int, start: int, step: float) -> None:
    """On any single peak over max_num_seqs, in at most six of eight trials."""
    rates = [10 / step ** abs(position - peak) for position in range(8)]
    trials = [trial(0, 2 ** (start + 1), rates[start])]
    while isinstance(found := propose(SPACE, trials, None, worth=0.01), Proposal):
        position = SPACE.index(found.flags)
        trials.append(trial(len(trials), 2 ** (position + 1), rates[position]))
    assert max(trials, key=lambda each: each.estimate.rate).flags == SPACE[peak]
    assert len(trials) <= 6


def test_everything_tried_ends_the_search() -> None:
    """With a reason."""
    found = propose(SPACE[:2], [trial(0, 2, 1.0), trial(1, 4, 2.0)], None, worth=0.01)
    assert isinstance(found, Finished)
    assert "tried" in found.why
