"""The best value of one flag without a model: bisection where goodput still rises, golden section around a peak. Pure.

Positions are indices into the flag's rising values; the function is taken to have one peak, or to rise or fall.
"""

from collections.abc import Mapping

GOLDEN = 0.381966
"""(3 - sqrt 5)/2: where golden section cuts the longer side, counted from the best."""


TIE = 0.1
"""Values this close (a share of the best) count as equal: a plateau does not say on which side the peak is."""


def next_position(measured: Mapping[int, float], length: int) -> int | None:
    """Which of `length` positions to measure next; None once nothing beside the best is left to measure.

    `measured` holds what is known, at least one; positions that failed are 0.
    """
    best = max(measured.values())
    top = [position for position, value in measured.items() if value >= best * (1 - TIE) or value == best]
    gaps = {gap for position in top for gap in _gaps_beside(position, measured, length)}
    if not gaps:
        return None
    below, above = max(gaps, key=lambda gap: (gap[1] - gap[0], gap))
    width = above - below - 1
    if below == -1 or above == length:  # still rising there, for all that is known
        return below + (width + 1) // 2 if below == -1 else above - (width + 1) // 2
    cut = max(1, round(GOLDEN * (width + 1)))
    return below + cut if measured[below] >= measured[above] else above - cut


def _gaps_beside(position: int, measured: Mapping[int, float], length: int) -> list[tuple[int, int]]:
    """The stretches next to `position` that hold something not yet measured, as the positions around them."""
    below = max((other for other in measured if other < position), default=-1)
    above = min((other for other in measured if other > position), default=length)
    return [gap for gap in ((below, position), (position, above)) if gap[1] - gap[0] > 1]
