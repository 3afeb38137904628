"""`Calibration`: factors fitted to measurements of one chip under one vLLM version, and how well they fit.

The fit is robust least squares (Levenberg-Marquardt) on logarithms of predicted over measured, with a prior: a factor
that the loads say nothing about stays where it was.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from math import hypot, sqrt

import numpy as np

from flyball.perf.architecture import ModelArchitecture
from flyball.perf.efficiency import Efficiency
from flyball.perf.fitting import Vector, least_squares
from flyball.perf.measured_load import MeasuredLoad

UNCALIBRATED_ERROR = 0.35
"""Of step times with typical factors: across the chips calibrated here they are 10 to 35 % off for single models."""

ONE_LOAD_ERROR = 0.2
"""What a single load, however well it is fitted, leaves open about others; it falls with the root of their number."""

MOST_FITTED = 18
"""Loads of one chip that are fitted: more take minutes and move the factors by less than the errors they leave."""

Over = Callable[
    [Callable[[tuple[MeasuredLoad, Efficiency]], Vector], Iterable[tuple[MeasuredLoad, Efficiency]]], Iterable[Vector]
]
Progress = Callable[[float], None]

_PRIOR = {
    "compute": 0.2,
    "memory": 0.08,
    "expert_compute": 0.5,
    "step_s_per_layer": 0.3,
    "expert_s_per_layer": 0.5,
    "allreduce_s": 0.6,
    "interconnect": 0.4,
    "host_s": 0.4,
    "sequence_s": 1.2,
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
_EVALUATIONS = 2 * (2 * len(_PRIOR) + 6)
"""How often a fit predicts all loads, about: two sets of slopes, and a few rounds on each."""
_LOCKSTEP_CLIENTS, _LOCKSTEP_TTFT = 8, 0.4
"""Clients of a closed loop fall into step, and who is served first is chance: from so many on, TTFT counts less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """One number of one load, predicted against measured."""

    model: str
    """As served: its name, and how it is quantised."""
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
            Residual(
                model=load.engine.served_name, load=load.name, statistic=name, measured=value, predicted=predicted[name]
            )
            for name, value in measured.items()
            if value and predicted[name]
        ]
    return found


def fit_efficiency(
    loads: Sequence[MeasuredLoad], *, start: Efficiency, over: Over = map, progress: Progress = lambda share: None
) -> Efficiency:
    """The factors that predict `loads` best, near `start`; `progress` is told the share of the work that is done.

    `over` is `map`, or one like it: that of a pool of processes shares the work among cores.
    """
    touched = [_touched(load) for load in loads]
    evaluated = 0

    def each(at: Sequence[Vector], of: Sequence[MeasuredLoad]) -> list[Vector]:
        """Misfits of every load at the first point, then at the next."""
        nonlocal evaluated
        found = list(over(_misfit_with, [(load, _moved(start, x)) for x in at for load in of]))
        evaluated += len(at)
        progress(min(1.0, evaluated / _EVALUATIONS))
        return found

    def misfits(x: Vector) -> Vector:
        return np.concatenate(each([x], loads))

    def slopes(x: Vector, step: float) -> Vector:
        columns = []
        for name, move in zip(_PRIOR, np.eye(len(_PRIOR)) * step, strict=True):
            moved = [index for index, needs in enumerate(touched) if name in needs]
            found = each([x + move, x - move], [loads[index] for index in moved])
            column = [np.zeros(len(_compared(load))) for load in loads]
            for index, up, down in zip(moved, found[: len(moved)], found[len(moved) :], strict=True):
                column[index] = (up - down) / (2 * step)
            columns.append(np.concatenate(column))
        return np.array(columns).T

    x = least_squares(misfits, slopes, sigma=np.array(list(_PRIOR.values())), scale=_SCALE)
    return _moved(start, x)


def spread(loads: Sequence[MeasuredLoad], most: int) -> list[MeasuredLoad]:
    """At most so many of them: as many of each model as there are, up to an even share, from few clients to many."""
    by_model: dict[ModelArchitecture, list[MeasuredLoad]] = {}
    for load in loads:
        by_model.setdefault(load.engine.model, []).append(load)
    chosen: list[MeasuredLoad] = []
    for left, of_model in zip(range(len(by_model), 0, -1), sorted(by_model.values(), key=len), strict=True):
        share = min(len(of_model), max(1, (most - len(chosen)) // left))
        ordered = sorted(of_model, key=lambda load: (load.engine.settings.tensor_parallel_size, load.name))
        chosen += [ordered[index * len(ordered) // share] for index in range(share)]
    return chosen


def _touched(load: MeasuredLoad) -> set[str]:
    """The factors that its prediction depends on."""
    engine = load.engine
    eager, alone = engine.settings.enforce_eager, engine.settings.tensor_parallel_size == 1
    absent = {"launch_s_per_layer" if eager else "eager_launch_s_per_layer"}
    absent |= {"allreduce_s", "interconnect"} if alone else set()
    absent |= {"expert_compute", "expert_s_per_layer"} if engine.model.experts is None else set()
    return set(_PRIOR) - absent


def calibrate(
    loads: Sequence[MeasuredLoad],
    *,
    start: Efficiency,
    source: str,
    as_of: str,
    most: int = MOST_FITTED,
    over: Over = map,
    progress: Progress = lambda share: None,
) -> tuple[Calibration, list[Residual]]:
    """Factors fitted to loads of one accelerator, and what they leave unexplained; ValueError unless it is one.

    Of more than `most` loads a `spread` is fitted; the errors are those of all.
    """
    (accelerator,) = {load.engine.accelerator.name for load in loads}
    fitted = spread(loads, most)
    efficiency = fit_efficiency(fitted, start=start, over=over, progress=progress)
    found = residuals(loads, efficiency)
    unseen = ONE_LOAD_ERROR / sqrt(len(fitted))
    fit = Calibration(
        accelerator=accelerator,
        version=max((load.engine.version for load in loads), key=_number),
        models=tuple(sorted({load.engine.model.name for load in loads})),
        efficiency=efficiency,
        error=hypot(_nine_of_ten(found, ("tpot_mean_s", "requests_per_s")), unseen),
        ttft_error=hypot(_nine_of_ten(found, ("ttft_mean_s",)), unseen),
        loads=len(fitted),
        source=source,
        as_of=as_of,
    )
    return fit, found


def _moved(start: Efficiency, x: Vector) -> Efficiency:
    factors = {name: float(getattr(start, name) * np.exp(by)) for name, by in zip(_PRIOR, x, strict=True)}
    # Nothing reaches more than the data sheet promises.
    capped = {name: min(0.97, factors[name]) for name in ("compute", "memory", "interconnect")}
    return replace(start, **factors | capped)


def _misfit_with(pair: tuple[MeasuredLoad, Efficiency]) -> Vector:
    load, efficiency = pair
    predicted = load.predicted(efficiency)
    lockstep = (load.concurrency or 1) > _LOCKSTEP_CLIENTS
    found = []
    for name in _compared(load):
        weight = _WEIGHTS[name] * (_LOCKSTEP_TTFT if lockstep and name.startswith("ttft") else 1.0)
        found.append(weight * np.log(getattr(predicted, name) / getattr(load.measured, name)))
    return np.array(found)


def _compared(load: MeasuredLoad) -> list[str]:
    return [name for name in _WEIGHTS if getattr(load.measured, name)]


def _nine_of_ten(found: Sequence[Residual], statistics: Sequence[str]) -> float:
    errors = [abs(np.log(each.predicted / each.measured)) for each in found if each.statistic in statistics]
    return float(np.expm1(np.percentile(errors, 90))) if errors else UNCALIBRATED_ERROR


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
