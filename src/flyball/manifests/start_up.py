"""How long a replica may take to start, for all that would otherwise give up on it: probes, vLLM, the rollout."""

import math
from dataclasses import dataclass

from flyball.manifests.design import ServiceDesign

MARGIN = 3
"""A start with a cold page cache, without compiled kernels, beside another one: three times the expected is normal."""
PROBE_PERIOD_S = 5
"""A replica serves up to this much later than it could."""
LEAST_BUDGET_S = 600
"""vLLM's own limit (VLLM_ENGINE_READY_TIMEOUT_S); a shorter one only turns a slow start into a loop of them."""
LEAST_WINDOW_S, MOST_WINDOW_S = 300, 3600
"""The controller's default, and the longest that the API server takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartUp:
    """In seconds."""

    expected_s: int
    budget_s: int
    """From the container's start until the kubelet gives up."""
    cold_s: int
    """Expected, with a new node."""
    window_s: int
    """How long the autoscaler remembers a higher need: longer than replicas take to come."""
    progress_s: int
    """How long a rollout may stand still."""

    @property
    def probe_failures(self) -> int:
        return math.ceil(self.budget_s / PROBE_PERIOD_S)


def start_up(design: ServiceDesign) -> StartUp:
    """The budgets of a design."""
    expected_s, cold_s = math.ceil(float(design.start_s.value)), math.ceil(design.cold_start_s)
    budget_s = max(LEAST_BUDGET_S, _minutes(MARGIN * expected_s))
    return StartUp(
        expected_s=expected_s,
        budget_s=budget_s,
        cold_s=cold_s,
        window_s=min(MOST_WINDOW_S, max(LEAST_WINDOW_S, _minutes(1.5 * cold_s))),
        progress_s=budget_s + _minutes(2 * design.node_start_s) + 300,
    )


def _minutes(seconds: float) -> int:
    """Rounded up to whole ones, in seconds."""
    return math.ceil(seconds / 60) * 60
