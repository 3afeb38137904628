"""The best value of one flag without a model: between a value that queues and one whose steps are too long the middle;
bisection and golden section where that is not known. Pure.

Positions are indices into the flag's rising values; the function is taken to have one peak, or to rise or fall.
"""

from collections.abc import Mapping

from flyball.tune.side import Side

GOLDEN = 0.381966
"""(3 - sqrt 5)/2: where golden section cuts the longer side, counted from the best."""


TIE = 0.1
"""Values this close (a share of the best) count as equal: a plateau does not say on which side the peak is."""


def next_position(measured: Mapping[int, float], length: int, sides: Mapping[int, Side]) -> int | None:
    """Which of `length` positions to measure next; None once nothing is left that could be the peak.

    `measured` holds what is known, at least one; positions that failed are 0. `sides` says of those where the peak is.
    """
    floor, ceiling = peak_between(sides, length)
    if floor >= 0 and ceiling < length:
        left = [position for position in range(floor + 1, ceiling) if position not in measured]
        return left[(len(left) - 1) // 2] if left else None
    best = max(measured.values())
    top = [position for position, value in measured.items() if value >= best * (1 - TIE) or value == best]
    gaps = {gap for position in top for gap in _gaps_beside(position, measured, length)}
    gaps = {gap for gap in gaps if floor <= gap[0] and gap[1] <= ceiling}
    if not gaps:
        return None
    below, above = max(gaps, key=lambda gap: (gap[1] - gap[0], gap))
    width = above - below - 1
    if below == -1 or above == length:  # still rising there, for all that is known
        return below + (width + 1) // 2 if below == -1 else above - (width + 1) // 2
    cut = max(1, round(GOLDEN * (width + 1)))
    return below + cut if measured[below] >= measured[above] else above - cut


def peak_between(sides: Mapping[int, Side], length: int) -> tuple[int, int]:
    """The highest position that the peak is above of and the lowest that it is below of, or is at.

    -1 and `length` where there is none, and where the two contradict each other.
    """
    floor = max((position for position, side in sides.items() if side is Side.ABOVE), default=-1)
    ceiling = min((position for position, side in sides.items() if side is Side.BELOW), default=length)
    return (floor, ceiling) if floor < ceiling else (-1, length)


def _gaps_beside(position: int, measured: Mapping[int, float], length: int) -> list[tuple[int, int]]:
    """The stretches next to `position` that hold something not yet measured, as the positions around them."""
    below = max((other for other in measured if other < position), default=-1)
    above = min((other for other in measured if other > position), default=length)
    return [gap for gap in ((below, position), (position, above)) if gap[1] - gap[0] > 1]
