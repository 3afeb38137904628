"""What changes the number of replicas: KEDA's ScaledObject, or an HPA that the Prometheus Adapter feeds."""

from typing import Any

from flyball.manifests.behavior import behavior
from flyball.manifests.design import ServiceDesign
from flyball.manifests.manifest import Because, Manifest
from flyball.manifests.queries import ADAPTER_METRICS, scaling_query
from flyball.manifests.start_up import start_up

SIGNALS = {
    "in_system": "running + waiting requests: the work in the system. It rises with the first request and falls only"
    " when the work is done",
    "waiting": "the queue alone, as asked for. It reads 0 until a replica is full, and at 0 the proposal is the"
    " minimum: busy replicas without a queue are removed. running + waiting (scaling.signal: in_system) is better",
    "kv": "the share of the KV cache in use: it falls when requests are preempted, so keep the target well below 1",
}


def scaler(design: ServiceDesign) -> list[Manifest]:
    """Exactly one for the scaled Deployment, none where the number of replicas is fixed."""
    if not design.is_scaled:
        return []
    return [_scaled_object(design) if design.spec.scaling.by == "keda" else _autoscaler(design)]


def scaler_query(design: ServiceDesign) -> str:
    """What KEDA asks: the signal of the whole service, less what the replicas of the floor are to hold."""
    return scaling_query(
        design.spec.scaling.signal,
        name=design.name,
        namespace=design.namespace,
        release=design.release,
        done_elsewhere=design.floor_replicas * float(design.target.value),
    )


def fallback_replicas(design: ServiceDesign) -> int:
    """Of the scaled Deployment while the signal cannot be read: those of typical traffic."""
    return min(design.scaled_max, max(1, design.scaled_min, design.typical_replicas - design.floor_replicas))


def _scaled_object(design: ServiceDesign) -> Manifest:
    signal = design.spec.scaling.signal
    times = start_up(design)
    trigger = {
        "type": "prometheus",
        "metricType": Because("AverageValue", "replicas = value / threshold: one value for the whole service"),
        "metadata": {
            "serverAddress": design.kubernetes.prometheus,
            "query": Because(scaler_query(design), _query_reason(design)),
            "threshold": Because(number(design.target.value), design.target.reason),
            "ignoreNullValues": Because(
                "false", "true, the default, takes a lost Prometheus target for no load at all"
            ),
        },
    }
    to_zero = {
        "cooldownPeriod": Because(times.window_s, "from the last need to none; longer than a replica takes to come")
    }
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": design.engine_name},
        "pollingInterval": 15,
        **(to_zero if design.scaled_min == 0 else {}),
        "minReplicaCount": _bound(design, design.scaled_min, design.min_replicas),
        "maxReplicaCount": _bound(design, design.scaled_max, design.max_replicas),
        "fallback": Because(
            {"failureThreshold": 3, "replicas": fallback_replicas(design), "behavior": "currentReplicasIfHigher"},
            "while the signal cannot be read: those of typical traffic, or as many as there are",
        ),
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior(design)}},
        "triggers": [trigger],
    }
    return Manifest(
        body={
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": design.metadata(design.engine_name, "engine"),
            "spec": spec,
        },
        file="scaling.yaml",
        comment=f"Scales on {SIGNALS[signal]}.\nKEDA makes the HPA: add none of your own.",
    )


def _query_reason(design: ServiceDesign) -> str:
    base = "summed, because KEDA takes one value only, and an average would not grow with the replicas"
    if not design.floor_replicas:
        return base
    count, held = design.floor_replicas, number(design.floor_replicas * float(design.target.value))
    return f"{base}; {held} of it are for the {count} on-demand replica(s) of {design.floor_name}"


def _autoscaler(design: ServiceDesign) -> Manifest:
    signal = design.spec.scaling.signal
    metric = {
        "type": "Pods",
        "pods": {
            "metric": {"name": ADAPTER_METRICS[signal]},
            "target": {
                "type": "AverageValue",
                "averageValue": Because(
                    quantity(design.target.value),
                    f"per replica; nothing happens within 10 % of it. {design.target.reason}",
                ),
            },
        },
    }
    return Manifest(
        body={
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": design.metadata(design.engine_name, "engine"),
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": design.engine_name},
                "minReplicas": _bound(design, design.scaled_min, design.min_replicas),
                "maxReplicas": _bound(design, design.scaled_max, design.max_replicas),
                "metrics": [metric],
                "behavior": behavior(design),
            },
        },
        file="scaling.yaml",
        comment=f"Scales on {SIGNALS[signal]}.\nThe Prometheus Adapter serves the metric, with the rendered rule.",
    )


def _bound(design: ServiceDesign, value: int, whole: Because) -> Because:
    if not design.floor_replicas:
        return Because(value, whole.reason)
    return Because(value, f"{whole.value} less the {design.floor_replicas} that stay on demand; {whole.reason}")


def number(value: Any) -> str:
    """As text: `12`, `0.7`."""
    return f"{float(value):.6g}"


def quantity(value: Any) -> str:
    """A Kubernetes quantity: whole, or in thousandths."""
    milli = round(float(value) * 1000)
    return str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"
