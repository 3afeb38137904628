"""How a new model revision or engine version replaces the old one, with the GPUs that there are."""

from typing import Any

from flyball.manifests.design import Capacity, ServiceDesign
from flyball.manifests.manifest import Because


def spare_replicas(design: ServiceDesign) -> int:
    """Replicas that can run beside the others during a rollout."""
    spare = design.kubernetes.spare_gpus
    if spare is None:
        return 0 if design.node_pools == "none" else 1
    return spare // design.gpus_per_replica


def strategy(design: ServiceDesign, capacity: Capacity) -> dict[str, Any]:
    """A Deployment's `strategy`. The floor and the spot replicas roll at once, so each needs a spare of its own."""
    count = design.floor_replicas if design.floor_replicas and capacity == "on-demand" else _fewest(design)
    spare = spare_replicas(design)
    deployments = 2 if design.floor_replicas else 1
    if spare >= deployments or (deployments == 2 and spare and capacity == "on-demand"):
        reason = (
            "a new replica serves before an old one leaves. One at a time: each needs a free GPU, and the HPA's sum of"
            " the work in the system is the same whichever replicas do it"
        )
        return {"type": "RollingUpdate", "rollingUpdate": Because({"maxSurge": 1, "maxUnavailable": 0}, reason)}
    if count == 1:
        reason = (
            "No spare GPU and one replica: the old one leaves before the new one can start, so nothing answers for the"
            " start-up time. RollingUpdate would wait for ever for a second GPU. With scaling.min 2 or one spare GPU"
            " (kubernetes.spare_gpus) there is no gap"
        )
        if design.floor_replicas:
            reason = "No spare GPU: the old one leaves first; the other Deployment answers meanwhile"
        return {"type": Because("Recreate", reason)}
    reason = (
        "No spare GPU: the default (surge 25 %, unavailable 25 % rounded down to 0) waits for ever for one. One replica"
        " leaves, drained, and its GPU takes the new one; meanwhile the others carry its load"
    )
    return {"type": "RollingUpdate", "rollingUpdate": Because({"maxSurge": 0, "maxUnavailable": 1}, reason)}


def _fewest(design: ServiceDesign) -> int:
    """Replicas of the scaled Deployment at its smallest."""
    return max(1, design.scaled_min)
