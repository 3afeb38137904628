"""What is believed of the rates of untried flags: the model's prediction, bent by what was measured beside it. Pure.

A Gaussian process on log(measured / predicted): one error that all predictions share (a clock that runs wrong), and one
that near sets of flags share. With nothing measured it is the prediction with the calibration's error.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REACH = 2.0
"""Octaves of a flag over which the model errs alike."""
LOCAL_SHARE, LEAST_LOCAL = 0.8, 0.06
"""Of the calibration's error, what differs from place to place; and the least, since short loads measure no better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One trial: its place, the logarithm of measured over predicted, and the standard deviation of that."""

    place: tuple[float, ...]
    log_ratio: float
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """Of one set of flags: logarithm of the rate, normally distributed."""

    mean: float
    deviation: float

    @property
    def rate(self) -> float:
        return math.exp(self.mean)

    @property
    def interval(self) -> tuple[float, float]:
        """One standard deviation to either side."""
        return math.exp(self.mean - self.deviation), math.exp(self.mean + self.deviation)

    def gain_over(self, rate: float) -> float:
        """Expected improvement over `rate`, relative; being worse costs nothing, since the best is kept."""
        if rate <= 0:
            return math.inf
        gap = self.mean - math.log(rate)
        # E[max(0, exp(x) - 1)] for x normal: the mean of a log-normal above 1, less the chance of being there.
        above = _normal((gap + self.deviation**2) / self.deviation)
        return max(0.0, math.exp(gap + self.deviation**2 / 2) * above - _normal(gap / self.deviation))


def believe(
    places: Sequence[tuple[float, ...]], predicted: Sequence[float], measured: Sequence[Measured], *, error: float
) -> list[Belief]:
    """Of each place with its predicted rate (above 0); `error` is the calibration's, relative."""
    local = max(LEAST_LOCAL, LOCAL_SHARE * error)
    spots = [each.place for each in measured]
    cross = _covariance(places, spots, error, local)
    noise = np.diag([max(each.error, 1e-3) ** 2 for each in measured])
    known = _covariance(spots, spots, error, local) + noise
    gain = np.linalg.solve(known, cross.T).T if measured else np.zeros((len(places), 0))
    shift = gain @ np.array([each.log_ratio for each in measured])
    variance = error**2 + local**2 - (gain * cross).sum(axis=1)
    return [
        Belief(mean=math.log(rate) + float(by), deviation=math.sqrt(max(float(var), 1e-6)))
        for rate, by, var in zip(predicted, shift, variance, strict=True)
    ]


def _covariance(
    one: Sequence[tuple[float, ...]], other: Sequence[tuple[float, ...]], error: float, local: float
) -> NDArray[np.float64]:
    distance = np.array([[sum((a - b) ** 2 for a, b in zip(p, q, strict=True)) for q in other] for p in one])
    shape = (len(one), len(other))
    return error**2 + local**2 * np.exp(-distance.reshape(shape) / (2 * REACH**2))


def _normal(value: float) -> float:
    return 0.5 * math.erfc(-value / math.sqrt(2))
