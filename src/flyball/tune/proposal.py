"""What to try next and why: the start, then what the model expects most of, or a search without it. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from flyball.tune.choice import best
from flyball.tune.line_search import next_position
from flyball.tune.posterior import Belief, Measured, believe
from flyball.tune.prediction import Expectation, Predictor, Unfit
from flyball.tune.side import AXIS, Open, can_be_better, line, others
from flyball.tune.space import left, place
from flyball.tune.trial import Expected, Flags, Trial, label

REFUTED = 3.0
"""Standard deviations between prediction and measurement from which on the model is no longer asked."""
LEAST_ERROR = 0.15
"""Of the model against one short search, however well its loads are fitted: two ways to measure the same rate."""
FIRST_GUESS = 1.0
"""Requests per second, where no load has been measured yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """The next trial."""

    flags: Flags
    why: str
    guess: float
    """The rate to begin the search at; 0 if there is no idea."""
    expected: Expected | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """No further trial, and why."""

    why: str


def start_proposal(flags: Flags, predictor: Predictor | None, rate: float) -> Proposal:
    """Trial 0: the flags that the spec has, so that the end can be compared with the beginning."""
    found = predictor.expect(flags) if predictor else None
    why = "the start: what the spec has now"
    if not isinstance(found, Expectation) or predictor is None or found.rate <= 0:
        return Proposal(flags=flags, why=why, guess=rate)
    expected = _expected(Belief(mean=math.log(found.rate), deviation=predictor.error))
    # Predicted with typical factors it may be off by more than a search from the spec's own rate would be.
    guess = found.rate if predictor.error < 0.3 else rate
    return Proposal(flags=flags, why=why, guess=guess, expected=expected)


def propose(
    candidates: Sequence[Flags], trials: Sequence[Trial], predictor: Predictor | None, *, worth: float
) -> Proposal | Finished:
    """The next trial after at least one; `worth` is the relative gain that pays for another restart."""
    untried = list(left(candidates, trials))
    if not untried:
        return Finished(why="every set of flags within the bounds has been tried or is refused")
    remaining = [flags for flags in untried if can_be_better(flags, trials)]
    if not remaining:
        return Finished(why=f"nothing that is left can be better: {Open.of(line(untried[0], trials))}")
    if predictor is None:
        return _without_model(remaining, trials, why="no model of this server")
    refuted = refutation(trials, predictor)
    if refuted is not None:
        return _without_model(remaining, trials, why=f"the model is refuted: {refuted}")
    return _with_model(remaining, trials, predictor, worth=worth)


def refutation(trials: Sequence[Trial], predictor: Predictor) -> str | None:
    """What the model cannot be right about, in one line: a trial that it did not see coming, or one that it still
    does not reproduce, corrected by that trial's own loads as it is.
    """
    for trial in trials:
        rate, error = trial.estimate.rate, trial.estimate.error
        if trial.refusal is not None and trial.refusal.kind != "nothing holds":
            continue
        if trial.number > 0 and trial.expected is not None:  # the start is predicted from the data sheet
            spread = math.log(trial.expected.high / trial.expected.rate)
            if _is_off(rate, trial.expected.rate, math.hypot(spread, error)):
                return f"trial {trial.number} held {rate:.3g} requests/s where it expected {trial.expected.rate:.3g}"
        now = predictor.expect(trial.flags)
        if isinstance(now, Expectation) and _is_off(
            rate, now.rate, math.hypot(max(predictor.error, LEAST_ERROR), error)
        ):
            return f"trial {trial.number} held {rate:.3g} requests/s, and corrected by its loads it says {now.rate:.3g}"
    return None


def _is_off(measured: float, expected: float, spread: float) -> bool:
    if measured <= 0 or expected <= 0:
        return (measured <= 0) != (expected <= 0)
    return abs(math.log(measured / expected)) > REFUTED * spread


def _with_model(
    remaining: Sequence[Flags], trials: Sequence[Trial], predictor: Predictor, *, worth: float
) -> Proposal | Finished:
    fitting = [(flags, found) for flags in remaining if (found := _positive(predictor, flags)) is not None]
    if not fitting:
        return Finished(why="nothing else within the bounds starts or meets the objective, says the model")
    leader = best(trials)
    reference = leader.estimate.rate if leader else 0.0
    beliefs = believe(
        [place(flags) for flags, _ in fitting],
        [found.rate for _, found in fitting],
        _measured(trials, predictor),
        error=predictor.error,
    )
    index = max(range(len(beliefs)), key=lambda i: (beliefs[i].gain_over(reference), beliefs[i].mean))
    flags, belief = fitting[index][0], beliefs[index]
    gain = belief.gain_over(reference)
    low, high = belief.interval
    told = f"predicted {belief.rate:.3g} requests/s ({low:.3g} to {high:.3g}), limited by {fitting[index][1].bound}"
    if gain < worth:
        return Finished(
            why=f"the best that is left, {label(flags)}, is {told}: an expected gain of {gain:.1%},"
            f" and another restart has to promise {worth:.1%}"
        )
    promise = "nothing holds yet" if math.isinf(gain) else f"expected gain {gain:.1%} over {reference:.3g}"
    return Proposal(flags=flags, why=f"{told}; {promise}", guess=belief.rate, expected=_expected(belief))


def _positive(predictor: Predictor, flags: Flags) -> Expectation | None:
    found = predictor.expect(flags)
    return None if isinstance(found, Unfit) or found.rate <= 0 else found


def _measured(trials: Sequence[Trial], predictor: Predictor) -> list[Measured]:
    found = []
    for trial in trials:
        expected = _positive(predictor, trial.flags)
        if expected is not None and trial.estimate.rate > 0:
            ratio = math.log(trial.estimate.rate / expected.rate)
            found.append(Measured(place=place(trial.flags), log_ratio=ratio, error=trial.estimate.error))
    return found


def _without_model(remaining: Sequence[Flags], trials: Sequence[Trial], *, why: str) -> Proposal | Finished:
    """Along one flag, all others as in the best trial."""
    leader = best(trials) or trials[0]
    if AXIS not in leader.flags:
        return Finished(why=f"{why}, and {AXIS} is not among the flags that may change")
    beside = others(leader.flags)
    known = {trial.flags[AXIS]: trial.estimate.rate for trial in trials if others(trial.flags) == beside}
    open_values = {flags[AXIS] for flags in remaining if others(flags) == beside}
    values = sorted({*known, *open_values}, key=float)
    position = next_position({values.index(value): rate for value, rate in known.items()}, len(values))
    told = str(Open.of(line(leader.flags, trials)))
    where = f": {told}" if told else ""
    if position is None:
        return Finished(why=f"{why}; no other {AXIS} can be better than {leader.flags[AXIS]}{where}")
    return Proposal(
        flags={**leader.flags, AXIS: values[position]},
        why=f"{why}; along {AXIS}, whose best so far is {leader.flags[AXIS]}{where}",
        guess=leader.estimate.rate or min((p.rate for trial in trials for p in trial.probes), default=FIRST_GUESS),
    )


def _expected(belief: Belief) -> Expected:
    low, high = belief.interval
    return Expected(rate=belief.rate, low=low, high=high)
