"""What the law decided and why."""

from dataclasses import dataclass
from enum import StrEnum


class LimitedBy(StrEnum):
    """The rule that had the last word over the number of replicas."""

    NONE = "nothing"
    TOLERANCE = "tolerance"
    UNKNOWN_PODS = "pods without a sample"  # counted as 0 or as the target, they turned a change into none
    SCALE_UP_WINDOW = "scale-up window"
    SCALE_DOWN_WINDOW = "scale-down window"
    SCALE_UP_POLICY = "scale-up policy"
    SCALE_DOWN_POLICY = "scale-down policy"
    DISABLED_POLICY = "selectPolicy Disabled"
    MIN_REPLICAS = "minReplicas"
    MAX_REPLICAS = "maxReplicas"
    ABOVE_MAX = "above maxReplicas"  # corrected at once, without a look at the metrics
    BELOW_MIN = "below minReplicas"
    ZERO_REPLICAS = "scaled to zero"  # by hand: the law leaves such a target alone
    NO_METRIC = "no metric"
    PARTIAL_METRICS = "a metric missing"  # the others would scale down, which nobody may on half the evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What one metric asks for. `replicas` None: it could not be computed, and `detail` says why."""

    metric: str
    replicas: int | None
    limited_by: LimitedBy
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The outcome of one sync: set the target to `desired`, which is `current` when nothing is to be done.

    `proposal` is the recommendation before windows, policies and bounds, None when none was computed; `metric` the one
    that won. `reason` is one sentence with the numbers.
    """

    current: int
    desired: int
    proposal: int | None
    metric: str | None
    limited_by: LimitedBy
    reason: str
    proposals: tuple[Proposal, ...] = ()
