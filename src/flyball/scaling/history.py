"""What the controller remembers of one HPA between syncs, in memory only: recommendations and its own scale events.

Slots are reused as the controller reuses them (only the last outdated entry is overwritten), because a window that is
lengthened later brings the entries that were left standing back into view.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from flyball.scaling.policy import ScalingPolicy, ScalingRules

Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A proposal as it was before any limit."""

    replicas: int
    at_s: float


@dataclass(frozen=True, slots=True)
class ScaleEvent:
    """A write of this HPA's: by how many replicas (always positive), completed when.

    `outdated` marks a slot that may be reused; it is set when a later event of the same direction is stored.
    """

    change: int
    at_s: float
    outdated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingState:
    """`ScalingState()` is that of a new HPA, and of every HPA after the controller restarts."""

    recommendations: tuple[Recommendation, ...] = ()
    scale_ups: tuple[ScaleEvent, ...] = ()
    scale_downs: tuple[ScaleEvent, ...] = ()


def age_us(at_s: float, now_s: float) -> int:
    """Age in whole microseconds: 12.2 s - 2.2 s has to be 10 s exactly, and as floats it is not."""
    return round((now_s - at_s) * 1e6)


def period_us(period_s: float) -> int:
    return round(period_s * 1e6)


def begin(state: ScalingState, replicas: int, at_s: float) -> ScalingState:
    """On first sight of an HPA the current replicas become its first recommendation; later this changes nothing."""
    if state.recommendations:
        return state
    return replace(state, recommendations=(Recommendation(replicas, at_s),))


def remember(policy: ScalingPolicy, state: ScalingState, replicas: int, now_s: float) -> ScalingState:
    """The state with a proposal added, in the place of one that no window reaches any more if there is such a one."""
    horizon_us = period_us(max(policy.scale_up_window_s, policy.scale_down_window_s))
    outdated = [age_us(entry.at_s, now_s) > horizon_us for entry in state.recommendations]
    entries = _stored(state.recommendations, outdated, Recommendation(replicas, now_s))
    return replace(state, recommendations=entries)


def record_scale(policy: ScalingPolicy, state: ScalingState, previous: int, new: int, at_s: float) -> ScalingState:
    """The state after the target was really set from `previous` to `new` replicas, completed at `at_s`.

    Without `spec.behavior` the controller keeps no events.
    """
    if policy.behavior is None or new == previous:
        return state
    if new > previous:
        events = _with_event(state.scale_ups, policy.behavior.scale_up, new - previous, at_s)
        return replace(state, scale_ups=events)
    events = _with_event(state.scale_downs, policy.behavior.scale_down, previous - new, at_s)
    return replace(state, scale_downs=events)


def change_within(events: Sequence[ScaleEvent], period_s: float, now_s: float) -> int:
    """Replicas added (or removed) by `events` less than `period_s` ago."""
    return sum(event.change for event in events if age_us(event.at_s, now_s) < period_us(period_s))


def _with_event(
    events: tuple[ScaleEvent, ...], rules: ScalingRules, change: int, at_s: float
) -> tuple[ScaleEvent, ...]:
    longest_us = period_us(max(policy.period_s for policy in rules.policies))
    marked = tuple(replace(event, outdated=event.outdated or age_us(event.at_s, at_s) > longest_us) for event in events)
    return _stored(marked, [event.outdated for event in marked], ScaleEvent(change, at_s))


def _stored(entries: tuple[Entry, ...], outdated: Sequence[bool], new: Entry) -> tuple[Entry, ...]:
    reusable = [index for index, old in enumerate(outdated) if old]
    if not reusable:
        return (*entries, new)
    last = reusable[-1]
    return (*entries[:last], new, *entries[last + 1 :])
