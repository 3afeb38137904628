"""The best value of one flag without a model: bisection where goodput still rises, golden section around a peak. Pure.

Positions are indices into the flag's rising values; the function is taken to have one peak, or to rise or fall.
"""

from collections.abc import Mapping

GOLDEN = 0.381966
"""(3 - sqrt 5)/2: where golden section cuts the longer side, counted from the best."""


def next_position(measured: Mapping[int, float], length: int) -> int | None:
    """Which of `length` positions to measure next; None once the neighbours of the best are measured.

    `measured` holds what is known, at least one; positions that failed are 0.
    """
    best = max(measured, key=lambda position: (measured[position], -position))
    below = max((position for position in measured if position < best), default=-1)
    above = min((position for position in measured if position > best), default=length)
    left, right = best - below - 1, above - best - 1  # positions in between, not yet measured
    if left <= 0 and right <= 0:
        return None
    if below == -1 and above == length:  # the first step shows which way it rises
        return best + (right + 1) // 2 if right > 0 else best - (left + 1) // 2
    if above == length and right > 0:  # still rising at the highest measured
        return best + (right + 1) // 2
    if below == -1 and left > 0:  # falling from the lowest measured
        return best - (left + 1) // 2
    if right >= left:
        return best + max(1, round(GOLDEN * (right + 1)))
    return best - max(1, round(GOLDEN * (left + 1)))
