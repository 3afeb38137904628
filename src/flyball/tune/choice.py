"""Which trial wins, and whether another search would change the order. Pure."""

from collections.abc import Sequence

from flyball.tune.rate_search import Estimate
from flyball.tune.trial import Trial

SURE = 1.28
"""Standard deviations by which the start must be beaten: nine times in ten the winner is then truly better."""
CLOSE = 2.0
"""Within so many, chance could have turned the order round."""
MOST_ROUNDS = 3


def best(trials: Sequence[Trial]) -> Trial | None:
    """The highest rate measured so far; None if nothing holds any."""
    found = max(trials, key=lambda trial: trial.estimate.rate, default=None)
    return found if found is not None and found.estimate.rate > 0 else None


def chosen(trials: Sequence[Trial]) -> Trial | None:
    """The winner, or the start where nothing beats it beyond the noise; None if nothing holds any rate."""
    found = best(trials)
    if found is None or not trials:
        return None
    start = trials[0]
    rivals = sorted(trials, key=lambda trial: trial.estimate.rate, reverse=True)
    sure = (rival for rival in rivals if rival.estimate.rate > 0 and rival.estimate.z_over(start.estimate) >= SURE)
    return next(sure, start if start.estimate.rate > 0 else found)


def needs_repeat(mine: Estimate, other: Estimate | None) -> bool:
    """Whether another search, with other requests, should be made before the engine is stopped."""
    if other is None or mine.rate == 0 or mine.rounds >= MOST_ROUNDS:
        return False
    return abs(mine.z_over(other)) < CLOSE
