"""`Replicas`: how many, for typical and peak traffic with one to lose, and the signal per replica that gets them."""

import math
from dataclasses import dataclass

from flyball.planning.demand import Demand
from flyball.planning.derived import GIVEN, Derived
from flyball.planning.replica_load import Capacity, ReplicaLoad
from flyball.spec import SLO, ScalingSpec

SPARE = 1
"""Replicas that may be lost (a node, a reclaim, an update) without missing the objective."""
KV_HEADROOM = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicas:
    """Numbers of replicas and what the autoscaler aims at."""

    needed_typical: int
    """That hold the objective at typical traffic, none to lose."""
    needed_peak: int
    typical: int
    """That run at typical traffic."""
    peak: int
    min: Derived[int]
    max: Derived[int]
    target: Derived[float]
    """Of spec.scaling.signal, per replica."""


def needed(rate: float, capacity: float) -> int:
    """Replicas that hold `rate`, never fewer than one."""
    return max(1, math.ceil(rate / capacity - 1e-9))


def _needed(rate: float, capacity: Capacity, load: ReplicaLoad, slo: SLO, most: int) -> int:
    """The same, tried: the capacity lies between two rates that were served, and is not exact."""
    count = needed(rate, capacity.rate)
    while count <= most and not load.holds(rate / count, slo):
        count += 1
    return count


def replicas(
    scaling: ScalingSpec, slo: SLO, demand: Demand, capacity: Capacity, load: ReplicaLoad, *, most: int
) -> Replicas:
    """`peak` is above `most` if that many do not suffice; it is for the caller to refuse it."""
    typical_rate, peak_rate = demand.typical_rate.value, demand.peak_rate.value
    at_typical, at_peak = (_needed(rate, capacity, load, slo, most) for rate in (typical_rate, peak_rate))
    peak = at_peak + SPARE
    given = scaling.model_fields_set
    least = (
        Derived(value=scaling.min, reason=f"scaling.min, {GIVEN}; typical traffic needs {at_typical}")
        if "min" in given
        else Derived(value=at_typical + SPARE, reason=f"{at_typical} for typical traffic and {SPARE} to lose")
    )
    peak = max(peak, least.value)
    # The rate per replica at which the fleet of the peak shares its load is what the autoscaler aims at.
    share = peak_rate / peak
    return Replicas(
        needed_typical=at_typical,
        needed_peak=at_peak,
        typical=max(least.value, math.ceil(typical_rate / share - 1e-9)),
        peak=peak,
        min=least,
        max=(
            Derived(value=scaling.max, reason=f"scaling.max, {GIVEN}; the peak needs {at_peak} and {SPARE} to lose")
            if "max" in given
            else Derived(value=peak, reason=f"{at_peak} for the peak of {peak_rate:g} req/s and {SPARE} to lose")
        ),
        target=_target(scaling, share, load, capacity),
    )


def _target(scaling: ScalingSpec, share: float, load: ReplicaLoad, capacity: Capacity) -> Derived[float]:
    if scaling.target is not None:
        return Derived(value=scaling.target, reason=f"scaling.target, {GIVEN}")
    at_share = load.at(share)
    if scaling.signal == "waiting":
        return Derived(value=1.0, reason="one waiting request a replica: the queue is empty until a replica is full")
    if scaling.signal == "kv":
        own = load.demand.mean_tokens - load.shared_tokens
        used = min(KV_HEADROOM, at_share.in_system * own / load.pool_tokens)
        return Derived(value=round(used, 3), reason=f"the share of the pool in use at {share:.3g} req/s a replica")
    value = max(1.0, float(math.floor(at_share.in_system)))
    held = f"the objective holds up to {capacity.in_system:.0f}"
    if load.pace != 1.0:
        held = f"{held}, at the {capacity.rate:.3g} req/s that were measured"
    reason = f"requests in a replica at {share:.3g} req/s, its share of the peak; {held}"
    return Derived(value=value, reason=reason)
