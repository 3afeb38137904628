import numpy as np
import pytest

from flyball.perf.fitting import Vector, least_squares

_TRUE = np.array([0.6, -0.4, 0.0])
_TIMES = np.linspace(0, 2, 30)


def _curve(x: Vector) -> Vector:
    return np.asarray(np.log(2 + np.exp(x[0]) * _TIMES) + x[1] * np.sin(3 * _TIMES))


def _misfits(x: Vector) -> Vector:
    return _curve(x) - _curve(_TRUE)


def _slopes(x: Vector, step: float) -> Vector:
    return np.array([(_misfits(x + d) - _misfits(x - d)) / (2 * step) for d in np.eye(3) * step]).T


def _fitted(misfits: Vector | None = None, sigma: float = 10.0) -> Vector:
    extra = np.zeros(30) if misfits is None else misfits
    return least_squares(lambda x: _misfits(x) + extra, _slopes, sigma=np.full(3, sigma), scale=0.05)


def test_parameters_of_a_curved_model_are_found() -> None:
    """From zeros to those that made the data; one that nothing depends on stays where it was."""
    assert _fitted() == pytest.approx(_TRUE, abs=1e-3)


def test_one_odd_measurement_does_not_bend_the_result() -> None:
    """Far beyond the scale it counts linearly: least squares alone would move by several times as much."""
    odd = np.zeros(30)
    odd[10] = 1.0

    assert _fitted(odd) == pytest.approx(_TRUE, abs=0.03)


def test_a_narrow_prior_holds_parameters_back() -> None:
    """What lies many of its widths away is approached, not reached."""
    held = _fitted(sigma=0.01)

    assert 0 < held[0] < 0.3


def test_a_perfect_start_is_kept() -> None:
    """Nothing to gain is no division by zero."""
    found = least_squares(lambda x: x * 0.0, lambda x, step: np.zeros((3, 3)), sigma=np.ones(3), scale=0.05)

    assert not found.any()
