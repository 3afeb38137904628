"""What holds for every policy and every history of load."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from flyball.scaling import (
    Decision,
    ExternalMetric,
    ExternalSamples,
    MetricFailure,
    MetricTarget,
    Observation,
    PodPhase,
    PodSamples,
    PodsMetric,
    PodStatus,
    RatePolicy,
    Reading,
    ScalingBehavior,
    ScalingPolicy,
    ScalingRules,
    ScalingState,
    record_scale,
    step,
)

LOAD = PodsMetric("load", MetricTarget("AverageValue", 10_000))
QUEUE = ExternalMetric("queue", MetricTarget("AverageValue", 10_000))
SYNC_S = 2.5  # a power of two's multiple, so that sums of it are exact

rate_policies = st.builds(
    RatePolicy,
    st.sampled_from(["Pods", "Percent"]),
    st.sampled_from([1, 2, 5, 50, 100]),
    st.sampled_from([2, 5, 15, 40]),
)
rules = st.builds(
    ScalingRules,
    stabilization_window_s=st.sampled_from([0, 0, 5, 20]),
    policies=st.lists(rate_policies, min_size=1, max_size=3).map(tuple),
    select_policy=st.sampled_from(["Max", "Max", "Min", "Min", "Disabled"]),
    tolerance=st.none() | st.sampled_from([0.0, 0.05, 0.5]),
)
behaviors = st.builds(ScalingBehavior, scale_up=rules, scale_down=rules)
any_behavior = st.none() | behaviors


@st.composite
def policies(draw: st.DrawFn, behavior: st.SearchStrategy[ScalingBehavior | None] = any_behavior) -> ScalingPolicy:
    low = draw(st.integers(1, 5))
    return ScalingPolicy(
        min_replicas=low,
        max_replicas=draw(st.integers(low, 30)),
        metrics=draw(st.sampled_from([(LOAD,), (QUEUE,), (LOAD, QUEUE)])),
        behavior=draw(behavior),
        downscale_stabilization_s=20,
    )


@dataclass(frozen=True, slots=True)
class Conditions:
    """One sync's world: total load, which metrics fail, and what is wrong with which share of the pods."""

    load: int
    broken: tuple[bool, bool]
    phases: tuple[PodPhase, ...]
    unsampled: tuple[bool, ...]


healthy: tuple[PodPhase, ...] = ("Running",) * 3
phases: st.SearchStrategy[PodPhase] = st.sampled_from(["Running", "Running", "Pending", "Failed"])
conditions = st.builds(
    Conditions,
    load=st.sampled_from([0, 0, 50_000, 400_000]) | st.integers(0, 400_000),
    broken=st.sampled_from([(False, False), (False, False), (False, True), (True, False), (True, True)]),
    phases=st.just(healthy) | st.lists(phases, min_size=3, max_size=3).map(tuple),
    unsampled=st.just((False,) * 3) | st.lists(st.booleans(), min_size=3, max_size=3).map(tuple),
)
histories = st.lists(conditions, min_size=1, max_size=25)


def observe(policy: ScalingPolicy, current: int, world: Conditions) -> Observation:
    pods = tuple(PodStatus(name=f"p{i}", phase=world.phases[i % 3], ready=True) for i in range(current))
    share = world.load // max(current, 1)
    sampled = {pod.name: share for i, pod in enumerate(pods) if pod.phase == "Running" and not world.unsampled[i % 3]}
    answers: dict[str, Reading] = {"load": PodSamples(sampled), "queue": ExternalSamples((world.load,))}
    readings = tuple(
        MetricFailure("outage") if broken else answers[metric.name]
        for metric, broken in zip(policy.metrics, world.broken, strict=False)
    )
    return Observation(spec_replicas=current, status_replicas=current, pods=pods, readings=readings)


def run(
    policy: ScalingPolicy, current: int, worlds: Sequence[Conditions], *, start_s: float = 0.0
) -> list[tuple[float, Decision]]:
    """The closed loop: every decision is carried out at once, and the next sync sees its replicas."""
    state = ScalingState()
    made = []
    for index, world in enumerate(worlds):
        now_s = start_s + index * SYNC_S
        decision, state = step(policy, state, observe(policy, current, world), now_s)
        state = record_scale(policy, state, current, decision.desired, now_s)
        made.append((now_s, decision))
        current = decision.desired
    return made


@given(policy=policies(), current=st.integers(0, 40), worlds=histories)
def test_replicas_stay_between_min_and_max(policy: ScalingPolicy, current: int, worlds: list[Conditions]) -> None:
    """From the first decision on, wherever it started; only a target scaled to 0 by hand stays there."""
    for _, decision in run(policy, current, worlds):
        assert policy.min_replicas <= decision.desired <= policy.max_replicas or current == decision.desired == 0


@given(policy=policies(behavior=behaviors), worlds=histories, data=st.data())
def test_no_rate_is_ever_exceeded(policy: ScalingPolicy, worlds: list[Conditions], data: st.DataObject) -> None:
    """Over every period of every policy: of all (Min) or at least one (Max) of them; none at all when Disabled."""
    assert policy.behavior is not None
    current = data.draw(st.integers(policy.min_replicas, policy.max_replicas))
    made = run(policy, current, worlds)
    levels = [(-math.inf, current)] + [(at_s, decision.desired) for at_s, decision in made]
    for index, (now_s, decision) in enumerate(made):
        going_up = decision.desired > decision.current
        going = policy.behavior.scale_up if going_up else policy.behavior.scale_down
        if decision.desired == decision.current:
            continue
        assert going.select_policy != "Disabled"
        respected = [
            within_rate(rate, before(levels[: index + 1], now_s - rate.period_s), decision.desired, up=going_up)
            for rate in going.policies
        ]
        assert all(respected) if going.select_policy == "Min" else any(respected)


def before(levels: Sequence[tuple[float, int]], at_s: float) -> int:
    """Replicas just after `at_s`."""
    return [replicas for changed_s, replicas in levels if changed_s <= at_s][-1]


def within_rate(rate: RatePolicy, start: int, desired: int, *, up: bool) -> bool:
    if rate.type == "Pods":
        return desired <= start + rate.value if up else desired >= start - rate.value
    factor = rate.value / 100
    return desired <= math.ceil(start * (1 + factor)) if up else desired >= math.trunc(start * (1 - factor))


@given(policy=policies(), data=st.data())
def test_within_tolerance_nothing_changes(policy: ScalingPolicy, data: st.DataObject) -> None:
    """Pods whose mean lies in the band, its edges included, keep a new HPA's replicas."""
    policy = replace(policy, metrics=(LOAD,))
    current = data.draw(st.integers(policy.min_replicas, policy.max_replicas))
    band = policy.tolerances
    mean = data.draw(st.integers(math.ceil(10_000 * (1 - band.down)), math.floor(10_000 * (1 + band.up))))
    apart = data.draw(st.integers(0, mean))
    levels = [mean] * (current % 2) + [mean - apart, mean + apart] * (current // 2)
    decision = run_once(policy, current, levels)
    assert decision.desired == decision.proposal == current


@given(
    policy=policies(),
    levels=st.lists(st.tuples(st.integers(0, 60_000), st.integers(0, 30_000)), min_size=30, max_size=30),
    data=st.data(),
)
def test_more_load_never_means_fewer_replicas(
    policy: ScalingPolicy, levels: list[tuple[int, int]], data: st.DataObject
) -> None:
    """With every pod Running and sampled, raising any pod's load raises the decision or leaves it."""
    policy = replace(policy, metrics=(LOAD,))
    current = data.draw(st.integers(policy.min_replicas, policy.max_replicas))
    less = run_once(policy, current, [level for level, _ in levels[:current]])
    more = run_once(policy, current, [level + extra for level, extra in levels[:current]])
    assert more.desired >= less.desired


def run_once(policy: ScalingPolicy, current: int, levels: Sequence[int]) -> Decision:
    pods = tuple(PodStatus(name=f"p{i}", phase="Running", ready=True) for i in range(current))
    readings = (PodSamples({f"p{i}": level for i, level in enumerate(levels)}),)
    observation = Observation(spec_replicas=current, status_replicas=current, pods=pods, readings=readings)
    return step(policy, ScalingState(), observation, 0.0)[0]


@given(policy=policies(), worlds=histories, data=st.data())
def test_an_outage_never_scales_down(policy: ScalingPolicy, worlds: list[Conditions], data: st.DataObject) -> None:
    """While any metric cannot be read, replicas only ever rise."""
    current = data.draw(st.integers(policy.min_replicas, policy.max_replicas))
    for _, decision in run(policy, current, worlds):
        if any(proposal.replicas is None for proposal in decision.proposals):
            assert decision.desired >= decision.current


@given(policy=policies(), current=st.integers(1, 30), worlds=histories, start_s=st.integers(0, 2_000_000_000))
def test_only_the_time_between_syncs_matters(
    policy: ScalingPolicy, current: int, worlds: list[Conditions], start_s: int
) -> None:
    """The same history at another hour, or on another clock, gives the same decisions."""
    here = [decision for _, decision in run(policy, current, worlds)]
    there = [decision for _, decision in run(policy, current, worlds, start_s=float(start_s))]
    assert here == there


@given(policy=policies(), current=st.integers(0, 40), worlds=histories)
def test_a_change_is_always_explained(policy: ScalingPolicy, current: int, worlds: list[Conditions]) -> None:
    """If the decision is not the proposal, some rule says that it is responsible, and the reason is never empty."""
    for _, decision in run(policy, current, worlds):
        assert decision.reason
        if decision.desired != decision.proposal:
            assert decision.limited_by != "nothing"
