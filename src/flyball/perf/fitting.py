"""Robust least squares with a prior, for models that take seconds to evaluate and whose slopes are noisy.

Levenberg-Marquardt, in which Broyden's rank-one updates keep the slopes current: they are measured twice in all, over
steps as wide as the noise of queues that a small change reorders, then over narrower ones.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
_STEPS = (0.1, 0.1, 0.05)
_ROUNDS, _TRIES = 12, 5
_LONGEST = 0.5
"""No parameter moves further in one round."""
_GAIN = 1e-3
"""A round that gains a smaller share of the cost is the last one."""


def least_squares(
    misfits: Callable[[Vector], Vector],
    slopes: Callable[[Vector, float], Vector],
    *,
    sigma: Vector,
    scale: float,
) -> Vector:
    """The parameters, from zeros, whose misfits and distance from zero (in units of `sigma`) cost least.

    `slopes(at, step)` has a row a misfit and a column a parameter. Misfits far beyond `scale` count
    linearly, not squared: one odd measurement must not bend the result.
    """

    def cost(at: Vector, r: Vector) -> float:
        return float(2 * (np.sqrt(1 + (r / scale) ** 2) - 1).sum() + ((at / sigma) ** 2).sum())

    x = np.zeros(len(sigma))
    r = misfits(x)
    best = cost(x, r)
    for step in _STEPS:
        jacobian, damping = slopes(x, step), 1e-2
        for _ in range(_ROUNDS):
            before = best
            for _ in range(_TRIES):
                weights = 1 / np.sqrt(1 + (r / scale) ** 2) / scale**2
                normal = (jacobian.T * weights) @ jacobian + np.diag(1 / sigma**2)
                gradient = (jacobian.T * weights) @ r + x / sigma**2
                move = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), -gradient)
                move = np.clip(move, -_LONGEST, _LONGEST)
                if not move.any():  # nothing to gain
                    return x
                tried_r = misfits(x + move)
                jacobian = jacobian + np.outer(tried_r - r - jacobian @ move, move) / (move @ move)
                tried = cost(x + move, tried_r)
                if tried < best:
                    x, r, best, damping = x + move, tried_r, tried, damping / 3
                    break
                damping *= 4
            if best > before * (1 - _GAIN):
                break
    return x
