"""The loop that closes the circle: sample the engines, feed the HPA law, scale the fleet."""

import asyncio
from collections.abc import Sequence

from flyball.local.fleet import Fleet
from flyball.local.timeline import FleetSample, ReplicaSample, Sync
from flyball.scaling import (
    ExternalSamples,
    MetricFailure,
    Observation,
    Reading,
    ScalingPolicy,
    ScalingState,
    record_scale,
    step,
)
from flyball.spec import Signal


def read_signal(signal: Signal, replicas: Sequence[ReplicaSample]) -> tuple[Reading, float | None]:
    """What all serving replicas report together, as the law takes it, and as a number.

    A serving replica that does not answer makes the whole reading a failure: the sum over the others would look like
    less load than there is.
    """
    values: list[float] = []
    for replica in replicas:
        if replica.state not in ("ready", "draining"):
            continue
        value = {"in_system": replica.in_system, "waiting": replica.waiting, "kv": replica.kv_cache_usage}[signal]
        if value is None:
            if replica.state == "draining":
                continue  # it is leaving; its requests are no reason to hold the others
            return MetricFailure(f"{replica.name} does not answer /metrics"), None
        values.append(value)
    if not values:
        return MetricFailure("no replica serves metrics"), None
    return ExternalSamples((round(sum(values) * 1000),)), sum(values)


async def control(fleet: Fleet, policy: ScalingPolicy, signal: Signal, *, sample_period_s: float) -> None:
    """Sample every `sample_period_s`, decide every `policy.sync_period_s`, until cancelled."""
    state = ScalingState()
    next_sample_s = next_sync_s = fleet.now_s
    while True:
        await asyncio.sleep(max(0.0, next_sample_s - fleet.now_s))
        next_sample_s = max(next_sample_s + sample_period_s, fleet.now_s)
        sampled_s = fleet.now_s
        replicas = await fleet.sample()
        fleet.timeline.add_sample(FleetSample(t_s=sampled_s, desired=fleet.desired, replicas=replicas))
        # Half a sample period of slack: a decision rides on the nearest sample instead of waiting for the one after.
        if fleet.now_s < next_sync_s - sample_period_s / 2:
            continue
        next_sync_s = max(next_sync_s + policy.sync_period_s, fleet.now_s)
        state = _sync(fleet, policy, state, signal, replicas)


def _sync(
    fleet: Fleet, policy: ScalingPolicy, state: ScalingState, signal: Signal, replicas: Sequence[ReplicaSample]
) -> ScalingState:
    reading, value = read_signal(signal, replicas)
    pods = fleet.pods()
    observation = Observation(
        spec_replicas=fleet.desired,
        status_replicas=sum(not pod.deleting for pod in pods),
        pods=pods,
        readings=(reading,),
    )
    now_s = fleet.now_s
    decision, state = step(policy, state, observation, now_s)
    fleet.timeline.add_sync(Sync(t_s=now_s, decision=decision, signal=value))
    if decision.desired != fleet.desired:
        state = record_scale(policy, state, decision.current, decision.desired, now_s)
        fleet.scale(decision.desired)
    return state
