"""Rate policies and bounds. TestScalingWithRules is the table of horizontal_test.go."""

from dataclasses import replace

import pytest

from flyball.scaling import (
    DEFAULT_SCALE_DOWN,
    DEFAULT_SCALE_UP,
    ExternalMetric,
    LimitedBy,
    MetricTarget,
    RatePolicy,
    ScaleEvent,
    ScalingBehavior,
    ScalingPolicy,
    ScalingRules,
    ScalingState,
    SelectPolicy,
)
from flyball.scaling.limits import limit, limit_without_behavior, scale_down_limit, scale_up_limit

NOW_S = 10_000.0


def rules(pods: int, pods_period_s: float, percent: int, percent_period_s: float) -> ScalingRules:
    """Upstream's generateScalingRules; its windows play no part here."""
    policies = []
    if pods:
        policies.append(RatePolicy("Pods", pods, pods_period_s))
    if percent:
        policies.append(RatePolicy("Percent", percent, percent_period_s))
    return ScalingRules(stabilization_window_s=0, policies=tuple(policies))


def spread(changes: tuple[int, ...], over_s: float = 120) -> tuple[ScaleEvent, ...]:
    """Upstream's generateEventsUniformDistribution: one event in the middle of each equal part of the last `over_s`."""
    part_s = over_s / len(changes) if changes else 0
    return tuple(ScaleEvent(change, NOW_S - (over_s - part_s * (i + 0.5))) for i, change in enumerate(changes))


def limited(
    *,
    current: int,
    desired: int,
    bounds: tuple[int, int],
    up: ScalingRules = DEFAULT_SCALE_UP,
    down: ScalingRules = DEFAULT_SCALE_DOWN,
    ups: tuple[int, ...] = (),
    downs: tuple[int, ...] = (),
) -> tuple[int, LimitedBy]:
    policy = ScalingPolicy(
        min_replicas=bounds[0],
        max_replicas=bounds[1],
        metrics=(ExternalMetric("q", MetricTarget("Value", 1000)),),
        behavior=ScalingBehavior(scale_up=up, scale_down=down),
    )
    state = ScalingState(scale_ups=spread(ups), scale_downs=spread(downs))
    outcome = limit(policy, state, current, desired, NOW_S)
    return outcome.replicas, outcome.limited_by


NONE, MIN, MAX = LimitedBy.NONE, LimitedBy.MIN_REPLICAS, LimitedBy.MAX_REPLICAS
UP, DOWN = LimitedBy.SCALE_UP_POLICY, LimitedBy.SCALE_DOWN_POLICY


@pytest.mark.parametrize(
    ("current", "desired", "bounds", "up", "ups", "downs", "expected"),
    [
        (5, 7, (3, 8), None, (), (), (7, NONE)),
        (20, 1000, (1, 10), None, (), (), (10, MAX)),
        (100, 1000, (100, 150), None, (), (), (150, MAX)),
        (3, 1000, (1, 2000), rules(0, 0, 1, 60), (), (), (4, UP)),
        (10, 50, (1, 1000), None, (), (), (20, UP)),
        (10, 500, (1, 1000), rules(100, 60, 100, 60), (), (), (110, UP)),
        (10, 500, (1, 1000), rules(2, 60, 100, 60), (), (), (20, UP)),
        (10, 50, (1, 1000), rules(100, 60, 0, 0), (), (), (50, NONE)),
        (10, 50, (1, 1000), rules(10000, 60, 0, 0), (), (), (50, NONE)),
        (10, 50, (1, 1000), rules(30, 60, 0, 0), (), (), (40, UP)),
        (10, 50, (1, 1000), rules(0, 0, 200, 60), (), (), (30, UP)),
        (100, 500, (1, 200), rules(300, 60, 0, 0), (1, 5, 9), (), (200, MAX)),
        (100, 500, (1, 200), rules(0, 0, 10000, 60), (1, 5, 9), (), (200, MAX)),
        (100, 500, (1, 1000), rules(5, 120, 0, 0), (1, 5, 9), (), (100, UP)),
        (100, 500, (1, 1000), rules(150, 120, 0, 0), (1, 5, 9), (), (235, UP)),
        (100, 500, (1, 1000), rules(0, 0, 200, 120), (1, 5, 9), (), (255, UP)),
        (6, 24, (1, 1000), rules(0, 0, 300, 300), (4,), (2,), (16, UP)),
        (100, 200, (1, 1000), rules(1000, 60, 0, 0), (8, 12, 9, 11), (), (200, NONE)),
        (100, 200, (1, 1000), rules(1000, 120, 100, 60), (8, 12, 9, 11), (), (200, NONE)),
        (100, 200, (1, 1000), rules(1000, 30, 100, 60), (8, 12, 9, 11), (), (200, NONE)),
    ],
)
def test_scaling_with_rules_up(
    *,
    current: int,
    desired: int,
    bounds: tuple[int, int],
    up: ScalingRules | None,
    ups: tuple[int, ...],
    downs: tuple[int, ...],
    expected: tuple[int, LimitedBy],
) -> None:
    """Upstream's TestScalingWithRules, scale-up rows."""
    up = up or DEFAULT_SCALE_UP
    assert limited(current=current, desired=desired, bounds=bounds, up=up, ups=ups, downs=downs) == expected


@pytest.mark.parametrize(
    ("current", "desired", "bounds", "down", "ups", "downs", "expected"),
    [
        (3, 1, (2, 8), None, (), (), (2, MIN)),
        (1000, 3, (3, 2000), rules(20, 60, 0, 0), (), (), (980, DOWN)),
        (100, 2, (1, 1000), rules(20, 60, 1, 60), (), (), (80, DOWN)),
        (100, 2, (1, 1000), rules(2, 60, 1, 60), (), (), (98, DOWN)),
        (10, 0, (1, 1000), rules(100, 60, 0, 0), (), (), (1, MIN)),
        (10, 2, (5, 1000), rules(0, 0, 100, 60), (), (), (5, MIN)),
        (10, 2, (1, 1000), rules(5, 60, 0, 0), (), (), (5, DOWN)),
        (10, 5, (1, 1000), rules(0, 0, 50, 60), (), (), (5, NONE)),
        (10, 5, (1, 1000), None, (), (1, 5, 9), (5, NONE)),
        (100, 0, (1, 1000), rules(115, 120, 0, 0), (), (1, 5, 9), (1, MIN)),
        (100, 0, (5, 1000), rules(130, 120, 0, 0), (), (1, 5, 9), (5, MIN)),
        (100, 2, (5, 1000), rules(0, 0, 100, 120), (), (1, 5, 9), (5, MIN)),
        (100, 2, (1, 1000), rules(5, 120, 0, 0), (), (1, 5, 9), (100, DOWN)),
        (100, 0, (1, 1000), rules(0, 0, 50, 120), (), (2, 4, 6), (56, DOWN)),
        (10, 1, (1, 1000), rules(0, 0, 50, 180), (2,), (4,), (6, DOWN)),
        (100, 0, (1, 1000), rules(0, 0, 10, 120), (), (10, 10, 10), (100, DOWN)),
        (10, 5, (1, 1000), rules(0, 0, 1000, 120), (), (10, 10, 10), (5, NONE)),
        (100, 5, (1, 1000), rules(1000, 60, 0, 0), (), (8, 12, 9, 11), (5, NONE)),
        (100, 5, (1, 1000), rules(1000, 120, 100, 60), (), (8, 12, 9, 11), (5, NONE)),
        (100, 5, (1, 1000), rules(1000, 30, 100, 60), (), (8, 12, 9, 11), (5, NONE)),
    ],
)
def test_scaling_with_rules_down(
    *,
    current: int,
    desired: int,
    bounds: tuple[int, int],
    down: ScalingRules | None,
    ups: tuple[int, ...],
    downs: tuple[int, ...],
    expected: tuple[int, LimitedBy],
) -> None:
    """Upstream's TestScalingWithRules, scale-down rows."""
    down = down or DEFAULT_SCALE_DOWN
    assert limited(current=current, desired=desired, bounds=bounds, down=down, ups=ups, downs=downs) == expected


@pytest.mark.parametrize(("select", "up_to", "down_to"), [("Max", 15, 3), ("Min", 12, 8), ("Disabled", 10, 10)])
def test_select_policy(select: SelectPolicy, up_to: int, down_to: int) -> None:
    """Max is the largest change in the direction, Min the smallest, Disabled none."""
    two = replace(rules(2, 15, 50, 15), select_policy=select)
    three = replace(rules(2, 15, 65, 15), select_policy=select)
    state = ScalingState()
    assert scale_up_limit(two, state, 10, NOW_S).replicas == up_to
    assert scale_down_limit(three, state, 10, NOW_S).replicas == down_to


def test_a_disabled_direction_names_itself() -> None:
    """The rule that had the last word is neither a rate nor a bound."""
    disabled = replace(DEFAULT_SCALE_UP, select_policy="Disabled")
    assert limited(current=5, desired=9, bounds=(1, 10), up=disabled) == (5, LimitedBy.DISABLED_POLICY)
    assert limited(current=5, desired=2, bounds=(1, 10), down=disabled) == (5, LimitedBy.DISABLED_POLICY)
    assert limited(current=5, desired=5, bounds=(1, 10), up=disabled, down=disabled) == (5, NONE)


@pytest.mark.parametrize(
    ("percent", "current", "up_to", "down_to"), [(10, 3, 4, 2), (10, 100, 111, 90), (50, 5, 8, 2), (100, 3, 6, 0)]
)
def test_percent_rounds_up_on_the_way_up_and_off_on_the_way_down(
    percent: int, current: int, up_to: int, down_to: int
) -> None:
    """In floats, as the controller has it: 100 * (1 + 10/100) is a little more than 110, so its ceiling is 111."""
    state = ScalingState()
    assert scale_up_limit(rules(0, 0, percent, 15), state, current, NOW_S).replicas == up_to
    assert scale_down_limit(rules(0, 0, percent, 15), state, current, NOW_S).replicas == down_to


@pytest.mark.parametrize(
    ("current", "desired", "expected"),
    [
        (1, 100, (4, UP)),
        (3, 100, (6, UP)),
        (10, 100, (20, MAX)),
        (10, 0, (2, MIN)),
        (10, 15, (15, NONE)),
    ],
)
def test_without_behavior_a_sync_at_most_doubles(current: int, desired: int, expected: tuple[int, LimitedBy]) -> None:
    """max(4, twice the current), within 2 and 20."""
    outcome = limit_without_behavior(current, desired, 2, 20)
    assert (outcome.replicas, outcome.limited_by) == expected
