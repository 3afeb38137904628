"""What the memory and step-time models expect of a set of flags, and how measured loads correct them. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flyball.catalog import Accelerator
from flyball.errors import UsageError
from flyball.perf import (
    NO_CORRECTION,
    Efficiency,
    MeasuredLoad,
    MemoryBudget,
    MemoryCorrection,
    ModelArchitecture,
    ServedRequest,
    StepModel,
    device_memory,
    measured_engine,
    memory_budget,
    memory_settings,
    residuals,
    serve,
    served_model,
)
from flyball.perf.measured_load import MeasuredEngine
from flyball.planning import Demand
from flyball.planning.replica_load import ReplicaLoad
from flyball.spec import SLO
from flyball.tune.trial import Flags, key

GROUPS = {
    "prompts": ("compute",),
    "weights and cache": ("memory",),
    "a step": ("step_s_per_layer", "host_s", "launch_s_per_layer", "eager_launch_s_per_layer"),
    "a request and a token": ("request_s", "token_s", "delivery_s"),
}
"""Factors that are corrected together: a few loads of one engine tell no more apart."""
RATES = ("compute", "memory")
"""Shares of a peak: what makes steps longer makes these smaller."""
_STATISTICS = ("ttft_mean_s", "ttft_p50_s", "ttft_p95_s", "tpot_mean_s", "tpot_p50_s", "tpot_p95_s")
_NOISE = 0.1
"""Of one statistic of one short load, as a share."""
_SERVED = 200
_ROUNDS, _SLOPE = 4, 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Of one set of flags: the rate that it holds, and what forbids more."""

    rate: float
    bound: str
    saturation_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfit:
    """Why the engine would not start with it."""

    reason: str


@dataclass(kw_only=True)
class Predictor:
    """One model on one accelerator, with the flags that stay as they are. Answers are kept."""

    architecture: ModelArchitecture
    accelerator: Accelerator
    version: str
    fixed: Mapping[str, Any]
    """Flags beside those that are tuned."""
    demand: Demand
    slo: SLO
    efficiency: Efficiency
    error: float
    """Relative, of predicted rates."""
    correction: MemoryCorrection = NO_CORRECTION
    _known: dict[tuple[Any, ...], Expectation | Unfit] = field(default_factory=dict)

    def expect(self, flags: Flags) -> Expectation | Unfit:
        """What `flags` would do."""
        if key(flags) not in self._known:
            self._known[key(flags)] = self._expect(flags)
        return self._known[key(flags)]

    def _expect(self, flags: Flags) -> Expectation | Unfit:
        load = self.load(flags)
        if isinstance(load, Unfit):
            return load
        capacity = load.capacity(self.slo)
        met = load.idle().misses(self.slo) is None
        return Expectation(
            rate=capacity.rate if met else 0.0, bound=capacity.bound, saturation_rate=load.saturation_rate
        )

    def load(self, flags: Flags) -> ReplicaLoad | Unfit:
        """The engine with those flags under any rate."""
        try:
            budget = self.budget(flags)
        except UsageError as error:
            return Unfit(reason=error.what)
        if not budget.fits:
            tokens, length = budget.kv_cache.tokens, budget.settings.max_model_len
            return Unfit(reason=f"a KV cache of {tokens:,} tokens, less than one request of {length:,}")
        model = served_model(self.architecture, budget.settings)
        return ReplicaLoad(StepModel(model, self.accelerator, budget.settings, self.efficiency), budget, self.demand)

    def budget(self, flags: Flags) -> MemoryBudget:
        """Raises UsageError for flags that do not go with the model."""
        device = device_memory(self.accelerator)
        settings = memory_settings(
            {**self.fixed, **flags}, architecture=self.architecture, device=device, version=self.version
        )
        return memory_budget(
            self.architecture, device=device, settings=settings, version=self.version, correction=self.correction
        )

    def engine(self, flags: Flags) -> MeasuredEngine:
        """For loads that were measured with those flags."""
        return measured_engine(
            self.architecture,
            self.accelerator,
            version=self.version,
            flags={**self.fixed, **flags},
            kv_cache_tokens=self.budget(flags).kv_cache.tokens,
        )

    def explain(self, flags: Flags, rate: float) -> str:
        """In one line, whether `flags` hold `rate`, and what decides it."""
        found = self.expect(flags)
        if isinstance(found, Unfit):
            return f"does not start: {found.reason}"
        if found.saturation_rate < rate:
            return (
                f"completes at most {found.saturation_rate:.3g} requests/s however long they wait: at {rate:g}/s its "
                "queue grows without bound"
            )
        if found.rate < rate:
            return f"holds {found.rate:.3g} requests/s, no more for {found.bound}"
        return f"holds {found.rate:.3g} requests/s, limited by {found.bound}"

    def recalibrated(self, loads: Sequence[MeasuredLoad], *, prior: float) -> "Predictor":
        """With factors that make the predictions of `loads` right, each moved by about `prior` (a share) at most."""
        if not loads:
            return self
        moved = _fit(loads, self.efficiency, prior)
        efficiency = move(self.efficiency, moved)
        unexplained = _misfit(loads, efficiency)
        left = float(np.sqrt(np.mean(unexplained**2))) if unexplained.size else self.error
        # What is left of the fitted loads, and what these leave open about other flags.
        error = math.hypot(left, self.error / math.sqrt(1 + len(loads)))
        return replace(self, efficiency=efficiency, error=min(error, self.error), _known={})


def attainment(load: ReplicaLoad, rate: float, slo: SLO) -> float:
    """The share of requests that meet every bound at `rate`, among those that find the engine as full as it gets."""
    filling = round(2 * load.in_steady_state(rate))
    arrivals = load.traffic.arrivals(rate, filling + _SERVED)
    served = serve(load.model, arrivals, kv_cache_tokens=load.pool_tokens)[filling:]
    bounds = slo.request_bounds()

    def is_good(request: ServedRequest) -> bool:
        seconds = {"ttft": request.ttft_s, "tpot": request.tpot_s, "e2e": request.last_token_s - request.sent_s}
        return all((seconds[metric] or 0.0) <= bound for metric, bound in bounds.items())

    return sum(map(is_good, served)) / len(served)


def move(start: Efficiency, by: Mapping[str, float]) -> Efficiency:
    """Every group's seconds times exp(by)."""
    changed: dict[str, float] = {}
    for group, names in GROUPS.items():
        for name in names:
            value = getattr(start, name) * math.exp(-by[group] if name in RATES else by[group])
            changed[name] = min(0.97, value) if name in RATES else value  # no chip exceeds its data sheet
    return replace(start, **changed)


def _fit(loads: Sequence[MeasuredLoad], start: Efficiency, prior: float) -> dict[str, float]:
    """Damped Gauss-Newton on the logarithms of predicted over measured, from the prior's middle."""
    names, x = list(GROUPS), np.zeros(len(GROUPS))

    def misfit(at: NDArray[np.float64]) -> NDArray[np.float64]:
        return _misfit(loads, move(start, dict(zip(names, at.tolist(), strict=True))))

    def cost(at: NDArray[np.float64], found: NDArray[np.float64]) -> float:
        return float(np.abs(found / _NOISE).sum() + ((at / prior) ** 2).sum())

    found = misfit(x)
    for _ in range(_ROUNDS):
        slopes = np.array([(misfit(x + step) - found) / _SLOPE for step in np.eye(len(x)) * _SLOPE]).T
        weights = 1 / np.maximum(np.abs(found), _NOISE) / _NOISE  # beyond the noise, misfits count linearly
        normal = (slopes.T * weights) @ slopes + np.eye(len(x)) / prior**2
        step = -np.linalg.solve(normal, (slopes.T * weights) @ found + x / prior**2)
        for shrink in (1.0, 0.5, 0.2):
            tried = x + np.clip(shrink * step, -1, 1)
            tried_misfit = misfit(tried)
            if cost(tried, tried_misfit) < cost(x, found):
                break
        else:
            break
        x, found = tried, tried_misfit
    return dict(zip(names, x.tolist(), strict=True))


def _misfit(loads: Sequence[MeasuredLoad], efficiency: Efficiency) -> NDArray[np.float64]:
    return np.array(
        [
            math.log(each.predicted / each.measured)
            for each in residuals(loads, efficiency)
            if each.statistic in _STATISTICS
        ]
    )
