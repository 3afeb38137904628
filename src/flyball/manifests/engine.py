"""The replicas: one Deployment, or two where some stay on demand and the others run on spot; Service and budget."""

from collections.abc import Mapping
from typing import Any

from flyball.manifests.design import ENGINE_PORT, Capacity, ServiceDesign
from flyball.manifests.engine_pod import pod_template
from flyball.manifests.manifest import Because, Manifest
from flyball.manifests.placement import capacity_labels
from flyball.manifests.probes import probe_config
from flyball.manifests.rollout import strategy
from flyball.manifests.security import api_key_mark, service_account
from flyball.manifests.start_up import start_up

SPLIT = """\
The replicas that always run on demand. They are a Deployment of their own because nothing else holds the floor: in one
Deployment the ReplicaSet chooses who leaves, by age and not by machine. The other Deployment runs on spot, and its
scaler asks for what the whole service needs less these."""


def engine_objects(design: ServiceDesign, *, api_key: str | None = None) -> list[Manifest]:
    """Everything of the replicas but their volumes."""
    marks = api_key_mark(api_key)
    found = [service_account(design, design.engine_name, "engine")]
    if design.kubernetes.liveness == "progress":
        found.append(probe_config(design))
    if design.floor_replicas:
        floor = _deployment(design, design.floor_name, "on-demand", design.floor_replicas, marks)
        found.append(Manifest(body=floor, file="engine.yaml", comment=SPLIT))
    replicas = None if design.is_scaled else design.scaled_max
    found.append(
        Manifest(
            body=_deployment(design, design.engine_name, design.scaled_capacity, replicas, marks),
            file="engine.yaml",
            comment=""
            if replicas is not None
            else "No `replicas`: the autoscaler owns the number, and every apply would set it back.",
        )
    )
    found.append(_headless_service(design))
    return [*found, *_budgets(design)]


def _budgets(design: ServiceDesign) -> list[Manifest]:
    """One for each Deployment that can have two replicas: a budget for one would forbid every node drain."""
    found = []
    if design.floor_replicas > 1:
        found.append(
            disruption_budget(design, design.floor_name, "engine", labels=capacity_labels(design, "on-demand"))
        )
    if design.scaled_max > 1:
        labels = capacity_labels(design, design.scaled_capacity)
        count: Any = Because(1, "never minAvailable: with that many replicas left no node can be drained")
        if design.scaled_capacity == "spot":
            count = Because("50%", "a cloud takes several spot machines at once: who may not be evicted is cut off")
        found.append(disruption_budget(design, design.engine_name, "engine", labels=labels, unavailable=count))
    return found


def _deployment(
    design: ServiceDesign, name: str, capacity: Capacity, replicas: int | None, marks: Mapping[str, Any]
) -> dict[str, Any]:
    selector = {**design.selector("engine"), **capacity_labels(design, capacity)}
    times = start_up(design)
    metadata = design.metadata(name, "engine")
    metadata["labels"] = {**metadata["labels"], **capacity_labels(design, capacity)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            **({} if replicas is None else {"replicas": replicas}),
            "selector": {"matchLabels": selector},
            "revisionHistoryLimit": 5,
            "progressDeadlineSeconds": Because(
                times.progress_s,
                "the startup probe's budget and a new node; the default of 600 s calls a slow start a failed rollout",
            ),
            "strategy": strategy(design, capacity),
            "template": pod_template(design, capacity, marks),
        },
    }


def _headless_service(design: ServiceDesign) -> Manifest:
    return Manifest(
        body={
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": design.metadata(design.engine_name, "engine"),
            "spec": {
                "clusterIP": Because(
                    "None", "the name resolves to every ready replica; the gateway chooses among them"
                ),
                "selector": design.selector("engine"),
                "ports": [{"name": "http", "port": ENGINE_PORT, "targetPort": "http"}],
            },
        },
        file="engine.yaml",
    )


def disruption_budget(
    design: ServiceDesign,
    name: str,
    component: str,
    *,
    labels: Mapping[str, str] | None = None,
    unavailable: Any = 1,
) -> Manifest:
    """`labels` beside the component's select the pods; each pod must have one budget at most."""
    return Manifest(
        body={
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": design.metadata(name, component),
            "spec": {
                "maxUnavailable": unavailable,
                "unhealthyPodEvictionPolicy": Because(
                    "AlwaysAllow", "a pod that is not ready serves nobody and must not block a drain"
                ),
                "selector": {"matchLabels": {**design.selector(component), **(labels or {})}},
            },
        },
        file=f"{component}.yaml",
    )
