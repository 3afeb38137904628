"""From a proposal to a number of replicas: stabilisation windows, rate policies, bounds.

`stabilizeRecommendation*`, `convertDesiredReplicas*` and `calculateScale*Limit*` of
pkg/controller/podautoscaler/horizontal.go.
"""

import math
from dataclasses import dataclass

from flyball.scaling.decision import LimitedBy
from flyball.scaling.history import ScalingState, age_us, change_within, period_us
from flyball.scaling.policy import RatePolicy, ScalingPolicy, ScalingRules


@dataclass(frozen=True, slots=True)
class Limited:
    """`replicas` after a rule; `detail` is empty if the rule changed nothing."""

    replicas: int
    limited_by: LimitedBy = LimitedBy.NONE
    detail: str = ""


def stabilise(policy: ScalingPolicy, state: ScalingState, current: int, proposal: int, now_s: float) -> Limited:
    """`proposal` held back by the recommendations that the windows still reach."""
    up_us, down_us = period_us(policy.scale_up_window_s), period_us(policy.scale_down_window_s)
    aged = [(entry.replicas, age_us(entry.at_s, now_s)) for entry in state.recommendations]
    if policy.behavior is None:
        # Only here does an entry exactly as old as the window count, and only here may the result be a scale-up that
        # the current proposal does not ask for.
        replicas = max([proposal, *(replicas for replicas, age in aged if age <= down_us)])
    else:
        lowest = min([proposal, *(replicas for replicas, age in aged if age < up_us)])
        highest = max([proposal, *(replicas for replicas, age in aged if age < down_us)])
        replicas = min(max(current, lowest), highest)
    if replicas > proposal:
        window = f"the scale-down window of {policy.scale_down_window_s:g} s holds it at {replicas}"
        return Limited(replicas, LimitedBy.SCALE_DOWN_WINDOW, window)
    if replicas < proposal:
        window = f"the scale-up window of {policy.scale_up_window_s:g} s holds it at {replicas}"
        return Limited(replicas, LimitedBy.SCALE_UP_WINDOW, window)
    return Limited(replicas)


def limit(policy: ScalingPolicy, state: ScalingState, current: int, desired: int, now_s: float) -> Limited:
    """`desired` within what the rate policies and the bounds allow at this sync."""
    if policy.behavior is None:
        return limit_without_behavior(current, desired, policy.min_replicas, policy.max_replicas)
    if desired > current:
        allowed = scale_up_limit(policy.behavior.scale_up, state, current, now_s)
        if desired <= min(policy.max_replicas, allowed.replicas):
            return Limited(desired)
        return allowed if allowed.replicas < policy.max_replicas else _at_max(policy.max_replicas)
    if desired < current:
        allowed = scale_down_limit(policy.behavior.scale_down, state, current, now_s)
        if desired >= max(policy.min_replicas, allowed.replicas):
            return Limited(desired)
        return allowed if allowed.replicas > policy.min_replicas else _at_min(policy.min_replicas)
    return Limited(desired)


def limit_without_behavior(current: int, desired: int, min_replicas: int, max_replicas: int) -> Limited:
    """Bounds, and at most max(4, twice the current) at one sync, which no period limits further."""
    if desired < min_replicas:
        return _at_min(min_replicas)
    allowed = max(2 * current, 4)
    if desired <= min(allowed, max_replicas):
        return Limited(desired)
    if allowed < max_replicas:
        return Limited(allowed, LimitedBy.SCALE_UP_POLICY, f"at most max(4, 2 x {current}) a sync allows {allowed}")
    return _at_max(max_replicas)


def scale_up_limit(rules: ScalingRules, state: ScalingState, current: int, now_s: float) -> Limited:
    """The most replicas that `rules` allow now, never less than the current."""
    if rules.select_policy == "Disabled":
        return Limited(current, LimitedBy.DISABLED_POLICY, "scaling up is Disabled")
    limits = [(_up(policy, _start(policy, state, current, now_s)), policy) for policy in rules.policies]
    choose = min if rules.select_policy == "Min" else max
    allowed, policy = choose(limits, key=lambda pair: pair[0])
    allowed = max(allowed, current)
    return Limited(allowed, LimitedBy.SCALE_UP_POLICY, f"scaleUp policy {policy} allows {allowed}")


def scale_down_limit(rules: ScalingRules, state: ScalingState, current: int, now_s: float) -> Limited:
    """The fewest replicas that `rules` allow now, never more than the current."""
    if rules.select_policy == "Disabled":
        return Limited(current, LimitedBy.DISABLED_POLICY, "scaling down is Disabled")
    limits = [(_down(policy, _start(policy, state, current, now_s)), policy) for policy in rules.policies]
    choose = max if rules.select_policy == "Min" else min
    allowed, policy = choose(limits, key=lambda pair: pair[0])
    allowed = min(allowed, current)
    return Limited(allowed, LimitedBy.SCALE_DOWN_POLICY, f"scaleDown policy {policy} allows {allowed}")


def _start(policy: RatePolicy, state: ScalingState, current: int, now_s: float) -> int:
    """How many replicas there were when the policy's period began, as far as this HPA changed them."""
    added = change_within(state.scale_ups, policy.period_s, now_s)
    removed = change_within(state.scale_downs, policy.period_s, now_s)
    return current - added + removed


def _up(policy: RatePolicy, start: int) -> int:
    # Rounded up, or a small percentage of a small fleet would never add anything.
    return start + policy.value if policy.type == "Pods" else math.ceil(start * (1 + policy.value / 100))


def _down(policy: RatePolicy, start: int) -> int:
    return start - policy.value if policy.type == "Pods" else math.trunc(start * (1 - policy.value / 100))


def _at_min(replicas: int) -> Limited:
    return Limited(replicas, LimitedBy.MIN_REPLICAS, f"minReplicas is {replicas}")


def _at_max(replicas: int) -> Limited:
    return Limited(replicas, LimitedBy.MAX_REPLICAS, f"maxReplicas is {replicas}")
