"""How a new model revision or engine version replaces the old one, with the GPUs that there are."""

from typing import Any

from flyball.manifests.design import Capacity, ServiceDesign
from flyball.manifests.manifest import Because

LARGE_FLEET = 9
"""Replicas, of which one more is within the HPA's tolerance."""


def spare_replicas(design: ServiceDesign) -> int:
    """Replicas that can run beside the others during a rollout."""
    spare = design.kubernetes.spare_gpus
    if spare is None:
        return 0 if design.node_pools == "none" else _deployments(design)
    return spare // design.gpus_per_replica


def _deployments(design: ServiceDesign) -> int:
    return 2 if design.floor_replicas else 1


def surge_misleads(design: ServiceDesign) -> bool:
    """Whether the HPA would keep the replica that a rollout starts beside the others, and then one more, and so on.

    For a metric with an AverageValue the HPA counts the pods that there are, and keeps that number while the load is
    within its tolerance of 10 % (kubernetes, pkg/controller/podautoscaler/replica_calculator.go,
    GetExternalPerPodMetricReplicas): 9 of 10 is, 8 of 9 is not.
    """
    return design.spec.scaling.by == "keda" and spare_replicas(design) > 0 and design.scaled_max >= LARGE_FLEET


def strategy(design: ServiceDesign, capacity: Capacity) -> dict[str, Any]:
    """A Deployment's `strategy`. The floor and the spot replicas roll at once, so each needs a spare of its own.

    Never Recreate: it would stop all replicas of a Deployment that happens to be scaled out.
    """
    spare, deployments = spare_replicas(design), _deployments(design)
    if spare >= deployments or (spare and capacity == "on-demand"):
        reason = (
            "a new replica serves before an old one leaves. One at a time: each needs a free GPU, and the HPA's sum of"
            " the work in the system is the same whichever replicas do it"
        )
        return {"type": "RollingUpdate", "rollingUpdate": Because({"maxSurge": 1, "maxUnavailable": 0}, reason)}
    reason = (
        "No spare GPU: the default (surge 25 %, unavailable 25 % rounded down to 0) waits for ever for one. One replica"
        " leaves, drained, and its GPU takes the new one. "
    )
    alone = max(1, design.scaled_min) == 1 and not design.floor_replicas
    reason += (
        "If it is the only one, nothing answers while the new one starts: scaling.min 2 or a spare GPU avoids that"
        if alone
        else "Meanwhile the others carry its load"
    )
    return {"type": "RollingUpdate", "rollingUpdate": Because({"maxSurge": 0, "maxUnavailable": 1}, reason)}
