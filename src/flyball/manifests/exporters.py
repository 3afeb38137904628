"""Metrics of the exporters beside vLLM that the queries ask for: name, type and labels of each.

vLLM's own are in `flyball.catalog`, by release. These are few and stable, and a query of any other name is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from flyball.errors import UsageError
from flyball.manifests.promql import MetricType


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterMetric:
    type: MetricType
    labels: tuple[str, ...]
    """Besides those of the target."""


def _metrics(kind: MetricType, labels: tuple[str, ...], *names: str) -> dict[str, ExporterMetric]:
    return {name: ExporterMetric(type=kind, labels=labels) for name in names}


_LISTENER = ("envoy_http_conn_manager_prefix",)
_CLUSTER = ("envoy_cluster_name",)

ENVOY: Mapping[str, ExporterMetric] = {
    **_metrics("counter", (*_LISTENER, "envoy_response_code_class"), "envoy_http_downstream_rq_xx"),
    **_metrics("counter", _LISTENER, "envoy_http_downstream_rq_total"),
    **_metrics("histogram", _LISTENER, "envoy_http_downstream_rq_time"),
    **_metrics(
        "counter",
        _CLUSTER,
        "envoy_cluster_upstream_rq_retry",
        "envoy_cluster_upstream_rq_active_overflow",
        "envoy_cluster_upstream_rq_pending_overflow",
        "envoy_cluster_upstream_cx_connect_fail",
    ),
    **_metrics(
        "gauge",
        _CLUSTER,
        "envoy_cluster_upstream_rq_active",
        "envoy_cluster_upstream_rq_pending_active",
        "envoy_cluster_membership_healthy",
        "envoy_cluster_membership_total",
    ),
}
"""Under the names of Envoy's /stats/prometheus, recorded from 1.40; all of them are there, as 0, from the start."""

_DEPLOYMENT = ("namespace", "deployment")
_HPA = ("namespace", "horizontalpodautoscaler")
_POD = ("namespace", "pod", "uid")

KUBE_STATE: Mapping[str, ExporterMetric] = {
    **_metrics(
        "gauge",
        _DEPLOYMENT,
        "kube_deployment_status_replicas",
        "kube_deployment_status_replicas_ready",
    ),
    **_metrics(
        "gauge",
        _HPA,
        "kube_horizontalpodautoscaler_spec_max_replicas",
        "kube_horizontalpodautoscaler_status_desired_replicas",
    ),
    **_metrics("gauge", (*_HPA, "condition", "status"), "kube_horizontalpodautoscaler_status_condition"),
    **_metrics("gauge", (*_POD, "condition"), "kube_pod_status_ready"),
    **_metrics("gauge", _POD, "kube_pod_start_time", "kube_pod_status_unschedulable"),
    **_metrics("gauge", (*_POD, "node"), "kube_pod_info"),
    **_metrics("counter", (*_POD, "container"), "kube_pod_container_status_restarts_total"),
    **_metrics("gauge", ("node", "key", "value", "effect"), "kube_node_spec_taint"),
}
"""kube-state-metrics, docs/metrics; scraped with honorLabels, as its charts do, so that `namespace` is the object's."""

_GPU = ("gpu", "UUID", "device", "modelName", "Hostname", "exported_namespace", "exported_pod", "exported_container")

DCGM: Mapping[str, ExporterMetric] = {
    **_metrics(
        "gauge",
        _GPU,
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
        "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
        "DCGM_FI_PROF_DRAM_ACTIVE",
        "DCGM_FI_DEV_POWER_USAGE",
        "DCGM_FI_DEV_GPU_TEMP",
        "DCGM_FI_DEV_ROW_REMAP_FAILURE",
        "DCGM_FI_DEV_XID_ERRORS",
    ),
    **_metrics("counter", _GPU, "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS"),
}
"""dcgm-exporter's, all on by default. Without honorLabels (its default) the workload's pod is `exported_pod`."""


def find(metric: str, among: Mapping[str, ExporterMetric], *, exporter: str) -> ExporterMetric:
    """The family of a name, with `le` where it is a bucket. UsageError for a name that is not known."""
    known = among.get(metric)
    if known and known.type != "histogram":
        return known
    for suffix in ("_bucket", "_sum", "_count"):
        family = among.get(metric.removesuffix(suffix)) if metric.endswith(suffix) else None
        if family and family.type == "histogram":
            labels = (*family.labels, "le") if suffix == "_bucket" else family.labels
            return ExporterMetric(type="histogram", labels=labels)
    raise UsageError(f"{metric}: not known as a metric of {exporter}", fix="add it to flyball.manifests.exporters")
