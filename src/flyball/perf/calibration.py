"""`Calibration`: factors fitted to measurements of one chip under one vLLM version, and how well they fit.

The fit is robust least squares (Levenberg-Marquardt) on logarithms of predicted over measured, with a prior: a factor
that the loads say nothing about stays where it was.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from math import hypot, sqrt

import numpy as np
from numpy.typing import NDArray

from flyball.perf.efficiency import Efficiency
from flyball.perf.load_statistics import LoadStatistics
from flyball.perf.measured_load import MeasuredLoad

UNCALIBRATED_ERROR = 0.35
"""Of step times with typical factors: across the chips calibrated here they are 10 to 35 % off for single models."""

ONE_LOAD_ERROR = 0.2
"""What a single load, however well it is fitted, leaves open about others; it falls with the root of their number."""

_PRIOR = {
    "compute": 0.2,
    "memory": 0.08,
    "expert_compute": 0.5,
    "step_s_per_layer": 0.3,
    "expert_s_per_layer": 0.5,
    "allreduce_s": 0.6,
    "interconnect": 0.4,
    "host_s": 0.4,
    "launch_s_per_layer": 0.5,
    "eager_launch_s_per_layer": 0.5,
    "request_s": 0.7,
    "token_s": 0.5,
    "delivery_s": 0.7,
}
"""How far (standard deviation of the logarithm) a factor may lie from where the fit begins, before any load is seen."""

_WEIGHTS = {
    "requests_per_s": 1.0,
    "ttft_mean_s": 1.0,
    "ttft_p50_s": 0.5,
    "ttft_p95_s": 0.5,
    "tpot_mean_s": 1.0,
    "tpot_p50_s": 1.0,
    "tpot_p95_s": 0.5,
    "e2e_mean_s": 1.0,
}
_SCALE = 0.05
"""Residuals far beyond this count linearly, not squared: one odd load must not bend the factors."""
_STEPS = (0.1, 0.04, 0.1, 0.02)
"""Slopes are taken over steps as wide as the noise of queues that a small change reorders; then over narrower ones."""
_ROUNDS = 6
_LOCKSTEP_CLIENTS, _LOCKSTEP_TTFT = 8, 0.4
"""Clients of a closed loop fall into step, and who is served first is chance: from so many on, TTFT counts less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """One number of one load, predicted against measured."""

    load: str
    statistic: str
    measured: float
    predicted: float

    @property
    def error(self) -> float:
        """Relative: 0.1 is predicted 10 % too high."""
        return self.predicted / self.measured - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Factors for one accelerator, with the vLLM version and models they were measured with."""

    accelerator: str
    version: str
    models: tuple[str, ...]
    efficiency: Efficiency
    error: float
    """Relative, of TPOT and throughput: what to expect of other loads. What nine of ten fitted ones stay within, and
    more where few were fitted."""
    ttft_error: float
    """The same of mean TTFT."""
    loads: int
    """How many were fitted; 0 is not calibrated."""
    source: str
    as_of: str

    @property
    def calibrated(self) -> bool:
        return self.loads > 0


def residuals(loads: Sequence[MeasuredLoad], efficiency: Efficiency) -> list[Residual]:
    """Of every statistic that was measured."""
    found = []
    for load in loads:
        predicted, measured = asdict(load.predicted(efficiency)), asdict(load.measured)
        found += [
            Residual(load=load.name, statistic=name, measured=value, predicted=predicted[name])
            for name, value in measured.items()
            if value and predicted[name]
        ]
    return found


def fit_efficiency(
    loads: Sequence[MeasuredLoad], *, start: Efficiency, progress: Callable[[float], None] = lambda share: None
) -> Efficiency:
    """The factors that predict `loads` best, near `start`; `progress` is told the share of the work that is done."""
    x = np.zeros(len(_PRIOR))
    for done, step in enumerate(_STEPS):
        progress(done / len(_STEPS))
        x = _descended(x, step, lambda at: _misfits(loads, _moved(start, at)))
    return _moved(start, x)


def _descended(
    x: NDArray[np.float64], step: float, misfits: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Levenberg-Marquardt until it gains no more, with slopes taken over `step` on both sides."""
    sigma = np.array(list(_PRIOR.values()))

    def cost(at: NDArray[np.float64], r: NDArray[np.float64]) -> float:
        return float(2 * (np.sqrt(1 + (r / _SCALE) ** 2) - 1).sum() + ((at / sigma) ** 2).sum())

    r = misfits(x)
    best, damping = cost(x, r), 1e-2
    for _ in range(_ROUNDS):
        slopes = np.array([(misfits(x + d) - misfits(x - d)) / (2 * step) for d in np.eye(len(x)) * step]).T
        weights = 1 / np.sqrt(1 + (r / _SCALE) ** 2) / _SCALE**2
        normal = (slopes.T * weights) @ slopes + np.diag(1 / sigma**2)
        gradient = (slopes.T * weights) @ r + x / sigma**2
        for _ in range(6):
            move = -np.linalg.solve(normal + damping * np.diag(np.diag(normal)), gradient)
            tried = x + np.clip(move, -0.5, 0.5)
            tried_r = misfits(tried)
            if cost(tried, tried_r) < best:
                break
            damping *= 4
        else:
            break
        gain, best = best - cost(tried, tried_r), cost(tried, tried_r)
        x, r, damping = tried, tried_r, damping / 3
        if gain < 1e-3 * best:
            break
    return x


def calibrate(
    loads: Sequence[MeasuredLoad],
    *,
    start: Efficiency,
    source: str,
    as_of: str,
    progress: Callable[[float], None] = lambda share: None,
) -> Calibration:
    """Fit factors to loads of one accelerator; ValueError if they are of several, or none."""
    (accelerator,) = {load.engine.accelerator.name for load in loads}
    efficiency = fit_efficiency(loads, start=start, progress=progress)
    found = residuals(loads, efficiency)
    unseen = ONE_LOAD_ERROR / sqrt(len(loads))
    return Calibration(
        accelerator=accelerator,
        version=max((load.engine.version for load in loads), key=_number),
        models=tuple(sorted({load.engine.model.name for load in loads})),
        efficiency=efficiency,
        error=hypot(_nine_of_ten(found, ("tpot_mean_s", "requests_per_s")), unseen),
        ttft_error=hypot(_nine_of_ten(found, ("ttft_mean_s",)), unseen),
        loads=len(loads),
        source=source,
        as_of=as_of,
    )


def _moved(start: Efficiency, x: NDArray[np.float64]) -> Efficiency:
    factors = {name: float(getattr(start, name) * np.exp(by)) for name, by in zip(_PRIOR, x, strict=True)}
    # Nothing reaches more than the data sheet promises.
    capped = {name: min(0.97, factors[name]) for name in ("compute", "memory", "interconnect")}
    return replace(start, **factors | capped)


def _misfits(loads: Sequence[MeasuredLoad], efficiency: Efficiency) -> NDArray[np.float64]:
    return np.concatenate([_misfit(load, load.predicted(efficiency)) for load in loads])


def _misfit(load: MeasuredLoad, predicted: LoadStatistics) -> NDArray[np.float64]:
    lockstep = (load.concurrency or 1) > _LOCKSTEP_CLIENTS
    found = []
    for name, weight in _WEIGHTS.items():
        measured, value = getattr(load.measured, name), getattr(predicted, name)
        if measured and value:
            share = _LOCKSTEP_TTFT if lockstep and name.startswith("ttft") else 1.0
            found.append(weight * share * np.log(value / measured))
    return np.array(found)


def _nine_of_ten(found: Sequence[Residual], statistics: Sequence[str]) -> float:
    errors = [abs(np.log(each.predicted / each.measured)) for each in found if each.statistic in statistics]
    return float(np.expm1(np.percentile(errors, 90))) if errors else UNCALIBRATED_ERROR


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
