"""The controller's memory. TestStoreScaleEvents and TestNormalizeDesiredReplicas* are tables of horizontal_test.go."""

from dataclasses import replace

import pytest

from flyball.scaling import (
    ExternalMetric,
    MetricTarget,
    RatePolicy,
    Recommendation,
    ScaleEvent,
    ScalingBehavior,
    ScalingPolicy,
    ScalingRules,
    ScalingState,
    begin,
    record_scale,
    remember,
)
from flyball.scaling.history import change_within
from flyball.scaling.limits import stabilise

NOW_S = 10_000.0
POLICY = ScalingPolicy(max_replicas=1000, metrics=(ExternalMetric("q", MetricTarget("Value", 1000)),))


def with_windows(up_s: float, down_s: float) -> ScalingPolicy:
    behavior = POLICY.behavior or ScalingBehavior()
    return replace(
        POLICY,
        behavior=ScalingBehavior(
            scale_up=replace(behavior.scale_up, stabilization_window_s=up_s),
            scale_down=replace(behavior.scale_down, stabilization_window_s=down_s),
        ),
    )


def aged(*entries: tuple[int, float]) -> ScalingState:
    """A state with recommendations given as (replicas, minutes ago)."""
    return ScalingState(recommendations=tuple(Recommendation(n, NOW_S - 60 * minutes) for n, minutes in entries))


@pytest.mark.parametrize(
    ("periods", "before", "after", "within_60_s"),
    [
        ((60, 60), [], [(5, False)], 0),
        ((60, 60), [(7, 61)], [(5, False)], 0),
        ((60, 60), [(7, 58)], [(7, False), (5, False)], 7),
        ((60,), [(7, 61), (6, 59)], [(5, False), (6, False)], 6),
        ((60, 30), [(8, 29), (6, 59), (7, 61), (9, 61)], [(8, False), (6, False), (7, True), (5, False)], 14),
        ((120, 30), [(7, 58), (6, 59)], [(7, False), (6, False), (5, False)], 13),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_store_scale_events(
    *,
    periods: tuple[float, ...],
    before: list[tuple[int, float]],
    after: list[tuple[int, bool]],
    within_60_s: int,
    sign: int,
) -> None:
    """Upstream's TestStoreScaleEvents, both ways: of the slots older than the longest period the last is reused."""
    rules = ScalingRules(stabilization_window_s=0, policies=tuple(RatePolicy("Pods", 10, s) for s in periods))
    policy = replace(POLICY, behavior=ScalingBehavior(scale_up=rules, scale_down=rules))
    events = tuple(ScaleEvent(change, NOW_S - age_s) for change, age_s in before)
    state = ScalingState(scale_ups=events, scale_downs=events)
    assert change_within(events, 60, NOW_S) == within_60_s
    stored = record_scale(policy, state, 10, 10 + 5 * sign, NOW_S)
    touched, untouched = (stored.scale_ups, stored.scale_downs)[::sign]
    assert [(event.change, event.outdated) for event in touched] == after
    assert untouched == events


def test_without_behavior_no_event_is_stored() -> None:
    """They would not be used; and a write that changes nothing is no event either."""
    assert record_scale(POLICY, ScalingState(), 10, 15, NOW_S) == ScalingState()
    assert record_scale(with_windows(0, 0), ScalingState(), 10, 10, NOW_S) == ScalingState()


def test_an_event_exactly_as_old_as_the_period_no_longer_counts() -> None:
    """12.2 s after 2.2 s is 10 s, although not as floats."""
    assert change_within((ScaleEvent(3, 2.2),), 10, 12.2) == 0
    assert change_within((ScaleEvent(3, 2.201),), 10, 12.2) == 3


@pytest.mark.parametrize(
    ("entries", "proposal", "expected", "kept"),
    [
        ([], 5, 5, 1),
        ([(4, 2), (5, 1)], 3, 5, 3),
        ([(1, 2), (2, 1)], 3, 3, 3),
        ([(10, 10), (9, 9)], 3, 3, 2),
        ([(10, 10), (4, 1), (5, 2), (9, 9)], 3, 5, 4),
    ],
)
def test_normalize_desired_replicas(entries: list[tuple[int, float]], proposal: int, expected: int, kept: int) -> None:
    """Upstream's TestNormalizeDesiredReplicas: without behavior, 5 minutes down."""
    state = aged(*entries)
    assert stabilise(POLICY, state, 7, proposal, NOW_S).replicas == expected
    assert len(remember(POLICY, state, proposal, NOW_S).recommendations) == kept


@pytest.mark.parametrize(
    ("entries", "current", "proposal", "windows", "expected", "remembered"),
    [
        ([], 100, 5, (0, 0), 5, [5]),
        ([(4, 2), (5, 1)], 100, 3, (0, 180), 5, [4, 5, 3]),
        ([(4, 2), (5, 1)], 1, 7, (300, 0), 4, [4, 5, 7]),
        ([(1, 2), (2, 1)], 100, 3, (300, 0), 3, [1, 2, 3]),
        ([(4, 2), (5, 1)], 1, 3, (0, 300), 3, [4, 5, 3]),
        ([(10, 10), (9, 9)], 100, 3, (0, 0), 3, [10, 3]),
        ([(10, 10), (9, 9)], 1, 100, (0, 0), 100, [10, 100]),
        ([(10, 10), (4, 1), (5, 2), (9, 9)], 100, 3, (0, 180), 5, [10, 4, 5, 3]),
        ([(10, 100), (6, 1), (5, 2), (9, 3)], 1, 100, (300, 0), 5, [100, 6, 5, 9]),
        ([(2, 100), (3, 3)], 2, 1, (300, 300), 2, [1, 3]),
        ([(2, 100), (1, 3)], 2, 3, (300, 300), 2, [3, 1]),
    ],
)
def test_normalize_desired_replicas_with_behavior(
    *,
    entries: list[tuple[int, float]],
    current: int,
    proposal: int,
    windows: tuple[float, float],
    expected: int,
    remembered: list[int],
) -> None:
    """Upstream's TestNormalizeDesiredReplicasWithBehavior."""
    policy = with_windows(*windows)
    state = aged(*entries)
    assert stabilise(policy, state, current, proposal, NOW_S).replicas == expected
    after = remember(policy, state, proposal, NOW_S)
    assert [entry.replicas for entry in after.recommendations] == remembered


def test_a_window_edge_counts_only_without_behavior() -> None:
    """An entry exactly as old as the window still holds there (`Before(cutoff)`), and not with behavior (`After`)."""
    state = aged((9, 5))
    assert stabilise(POLICY, state, 9, 3, NOW_S).replicas == 9
    assert stabilise(with_windows(0, 300), state, 9, 3, NOW_S).replicas == 3


def test_a_missing_scale_down_window_is_the_controllers_in_whole_seconds() -> None:
    """`maybeInitScaleDownStabilizationWindow` truncates the flag."""
    policy = replace(POLICY, behavior=ScalingBehavior(), downscale_stabilization_s=20.9)
    assert policy.scale_down_window_s == 20
    assert replace(policy, behavior=None).scale_down_window_s == 20.9


def test_only_the_first_sight_begins() -> None:
    """Current replicas become the first recommendation of a new HPA, and of no other."""
    state = begin(ScalingState(), 5, 1.0)
    assert state.recommendations == (Recommendation(5, 1.0),)
    assert begin(state, 9, 2.0) is state
