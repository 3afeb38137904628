"""The chain from the API server to the replicas, in order: each link is one question, asked if those it needs hold."""

from flyball.cluster.doctor.access import check_answers, check_api, check_kinds, check_permissions
from flyball.cluster.doctor.autoscaler import check_autoscaler, check_scaled_object
from flyball.cluster.doctor.capacity import check_capacity
from flyball.cluster.doctor.disruption import check_disruption
from flyball.cluster.doctor.nodes import check_driver, check_gpus
from flyball.cluster.doctor.placement import check_placement
from flyball.cluster.doctor.pods import check_deployed, check_pods
from flyball.cluster.doctor.quota import check_quota
from flyball.cluster.doctor.resource import (
    ALL_PODS,
    API_SERVICES,
    AUTOSCALERS,
    BUDGETS,
    CLAIMS,
    DEPLOYMENTS,
    LIMIT_RANGES,
    NODES,
    PODS,
    QUOTAS,
    RUNTIME_CLASSES,
    SCALED_OBJECTS,
    STORAGE_CLASSES,
)
from flyball.cluster.doctor.runtime_class import check_runtime_class
from flyball.cluster.doctor.scaling import check_metrics_api, check_query, check_served_metric
from flyball.cluster.doctor.scraping import check_dcgm, check_prometheus, check_scraped
from flyball.cluster.doctor.storage import check_storage
from flyball.cluster.doctor.symptom import Link
from flyball.cluster.doctor.writers import check_writers

CHAIN = (
    Link(id="api", asks="Does the API server answer?", check=check_api),
    Link(id="answers", asks="Did it go on answering?", check=check_answers, needs=("api",)),
    Link(id="permissions", asks="May this user see what the walk needs?", check=check_permissions, needs=("api",)),
    Link(id="kinds", asks="Are the kinds that were rendered served?", check=check_kinds, needs=("api",)),
    Link(id="gpus", asks="Do nodes advertise GPUs?", check=check_gpus, needs=("api",), reads=(NODES,)),
    Link(id="driver", asks="Is the driver new enough for the image's CUDA?", check=check_driver, needs=("gpus",)),
    Link(id="placement", asks="May an engine run on those nodes?", check=check_placement, needs=("gpus", "driver")),
    Link(
        id="capacity",
        asks="Is there room for the smallest and the largest number of replicas?",
        check=check_capacity,
        needs=("placement",),
        reads=(ALL_PODS, PODS),
    ),
    Link(
        id="runtime-class",
        asks="Is the container runtime class there?",
        check=check_runtime_class,
        needs=("api",),
        reads=(RUNTIME_CLASSES,),
    ),
    Link(
        id="storage",
        asks="Can the volumes be provided, and shared?",
        check=check_storage,
        needs=("api",),
        reads=(STORAGE_CLASSES, CLAIMS),
    ),
    Link(
        id="quota",
        asks="Do quotas and limit ranges allow it?",
        check=check_quota,
        needs=("api",),
        reads=(QUOTAS, LIMIT_RANGES, PODS),
    ),
    Link(
        id="deployed",
        asks="Are the Deployments there?",
        check=check_deployed,
        needs=("api",),
        reads=(DEPLOYMENTS,),
    ),
    Link(id="pods", asks="Are enough pods Ready?", check=check_pods, needs=("deployed",), reads=(PODS,)),
    Link(
        id="disruption",
        asks="Can a node be drained?",
        check=check_disruption,
        needs=("deployed",),
        reads=(BUDGETS, PODS),
    ),
    Link(
        id="writers",
        asks="Does one thing alone write the number of replicas?",
        check=check_writers,
        needs=("deployed",),
        reads=(DEPLOYMENTS, AUTOSCALERS, SCALED_OBJECTS),
    ),
    Link(id="prometheus", asks="Does Prometheus answer?", check=check_prometheus, needs=("api",)),
    Link(
        id="scraped",
        asks="Does Prometheus have every engine's series?",
        check=check_scraped,
        needs=("pods", "prometheus"),
    ),
    Link(id="query", asks="Does the scaling query return what it must?", check=check_query, needs=("scraped",)),
    Link(
        id="metrics-api",
        asks="Is the metrics API registered, by the right owner?",
        check=check_metrics_api,
        needs=("kinds",),
        reads=(API_SERVICES,),
    ),
    Link(
        id="scaled-object",
        asks="Does KEDA read the trigger?",
        check=check_scaled_object,
        needs=("deployed", "metrics-api", "query"),
        reads=(SCALED_OBJECTS,),
    ),
    Link(
        id="served-metric",
        asks="Does the metrics API answer what the HPA asks?",
        check=check_served_metric,
        needs=("scaled-object",),
        reads=(AUTOSCALERS,),
    ),
    Link(
        id="autoscaler",
        asks="Does the HPA decide?",
        check=check_autoscaler,
        needs=("served-metric",),
        reads=(AUTOSCALERS,),
    ),
    Link(id="dcgm", asks="Are the GPUs' own metrics there?", check=check_dcgm, needs=("prometheus",)),
)
