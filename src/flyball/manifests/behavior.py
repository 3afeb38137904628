"""HPA v2's `behavior`, from how long replicas take to come and to go."""

import math
from typing import Any

from flyball.manifests.design import ServiceDesign
from flyball.manifests.drain import drain
from flyball.manifests.manifest import Because
from flyball.manifests.rollout import surge_misleads
from flyball.manifests.start_up import start_up
from flyball.spec import RulesSpec

MOST_PERIOD_S = 1800
"""The longest that the API server takes."""
STEPS = 3
SHORTEST_STEP_S, LONGEST_STEP_S = 30, 300

_TOLERANCE = (
    "by default a number within 10 % of the load's is kept, the replica that a rollout starts beside the others"
    " included: each rollout would leave one more (Kubernetes 1.35 and KEDA 2.18 know this field)"
)


def behavior(design: ServiceDesign) -> dict[str, Any]:
    """`spec.behavior`; what the spec gives stands above what is derived."""
    given = design.spec.scaling.behavior
    up, down = _up(design), _down(design)
    if given is not None:
        up, down = up | _given(given.scale_up), down | _given(given.scale_down)
    return {"scaleUp": up, "scaleDown": down}


def _up(design: ServiceDesign) -> dict[str, Any]:
    cold_s = start_up(design).cold_s
    period = min(LONGEST_STEP_S, max(SHORTEST_STEP_S, math.ceil(cold_s / STEPS)))
    step = max(2, math.ceil((design.scaled_max - design.scaled_min) / STEPS))
    return {
        "stabilizationWindowSeconds": Because(0, "a queue that waits for a second reading only grows"),
        "selectPolicy": "Max",
        "policies": Because(
            [{"type": "Pods", "value": step, "periodSeconds": period}],
            f"A third of the range each {period} s. A replica takes {cold_s} s to come, and until it serves the queue"
            " grows whatever was ordered: without a limit every burst orders all. A burst that lasts gets them all"
            " before the first one serves.",
        ),
    }


def _down(design: ServiceDesign) -> dict[str, Any]:
    times, leave_s = start_up(design), drain(design, design.scaled_capacity).grace_s
    period = min(MOST_PERIOD_S, max(60, math.ceil(2 * leave_s / 60) * 60))
    return {
        "stabilizationWindowSeconds": Because(
            times.window_s,
            f"longer than a replica takes to come ({times.cold_s} s): otherwise the queue that ordered it is gone"
            " before it serves, and it is the first to be removed",
        ),
        "selectPolicy": "Max",
        "policies": Because(
            [{"type": "Pods", "value": 1, "periodSeconds": period}],
            f"one at a time, and not before the last one is gone: leaving takes up to {leave_s} s",
        ),
        **({"tolerance": Because("0", _TOLERANCE)} if surge_misleads(design) else {}),
    }


def _given(rules: RulesSpec) -> dict[str, Any]:
    """What the spec says, in the API's words."""
    policies = rules.policies and [
        {"type": policy.type, "value": policy.value, "periodSeconds": round(policy.period)} for policy in rules.policies
    ]
    words = {
        "stabilizationWindowSeconds": None if rules.stabilization_window is None else round(rules.stabilization_window),
        "selectPolicy": rules.select_policy,
        "policies": policies,
        "tolerance": None if rules.tolerance is None else f"{rules.tolerance:g}",
    }
    return {key: Because(value, "given in the spec") for key, value in words.items() if value is not None}
