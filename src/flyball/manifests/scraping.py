"""How Prometheus gets the series: one PodMonitor for the replicas, one for the gateway.

Pods and not a Service's endpoints are monitored, so that a pod that drains is scraped until it ends: its requests are
in the system all the while. What the targets' labels must be is said by `Series`, and set here.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from flyball.catalog import EngineRelease
from flyball.manifests.manifest import Because
from flyball.manifests.queries import SCRAPE_INTERVAL_S
from flyball.manifests.series import Series

SCRAPE_TIMEOUT_S = 10
"""Two thirds of the interval: /metrics of a saturated engine can take seconds, for it shares the API server's loop."""
ENGINE_PORT, GATEWAY_PORT = "http", "metrics"
UNUSED = ("python_gc_.+", "http_request_duration_highr_seconds_bucket", "http_re(quest|sponse)_size_bytes_.+")
"""Of the engine's API server; about Python and HTTP bodies."""


def engine_monitor(
    series: Series, *, selector: Mapping[str, str], labels: Mapping[str, str], asked: Iterable[str]
) -> dict[str, Any]:
    """`asked`: the metrics that any query asks for; histograms that none does lose their buckets."""
    endpoint = {
        "port": ENGINE_PORT,
        "path": "/metrics",
        **_timing(),
        "relabelings": [_job(series.engine_job)],
        "metricRelabelings": [
            Because(
                _drop("__name__", f"vllm:({'|'.join(unused_histograms(series.release, asked))})_bucket"),
                "Bounds the number of series: the buckets of histograms that no rule and no panel asks for."
                " Their _sum and _count stay.",
            ),
            _drop("__name__", "|".join(UNUSED)),
        ],
    }
    return _pod_monitor(series, series.engine_job, selector=selector, labels=labels, endpoint=endpoint)


def gateway_monitor(
    series: Series, *, selector: Mapping[str, str], labels: Mapping[str, str], asked: Iterable[str]
) -> dict[str, Any]:
    """Of Envoy's thousand series those that are asked for, about the door and the replicas."""
    wanted = sorted({_family(metric) for metric in asked if metric.startswith("envoy_")})
    endpoint = {
        "port": GATEWAY_PORT,
        "path": "/stats/prometheus",
        **_timing(),
        "relabelings": [_job(series.gateway_job)],
        "metricRelabelings": [
            Because(
                {
                    "sourceLabels": ["__name__"],
                    "action": "keep",
                    "regex": f"({'|'.join(wanted)})(_bucket|_sum|_count)?",
                },
                "Bounds the number of series: of about 1,200 the ones that rules and panels ask for.",
            ),
            _drop("envoy_http_conn_manager_prefix", "admin|metrics"),
            _drop("envoy_cluster_name", "admin"),
        ],
    }
    return _pod_monitor(series, series.gateway_job, selector=selector, labels=labels, endpoint=endpoint)


def unused_histograms(release: EngineRelease, asked: Iterable[str]) -> list[str]:
    """The histograms that the release has, optional ones too, of which nobody asks for a bucket; without `vllm:`."""
    wanted = {metric.removesuffix("_bucket") for metric in asked if metric.endswith("_bucket")}
    histograms = (name for name, metric in release.metrics.items() if metric.type == "histogram")
    return sorted(name.removeprefix("vllm:") for name in histograms if name not in wanted)


def _pod_monitor(
    series: Series,
    name: str,
    *,
    selector: Mapping[str, str],
    labels: Mapping[str, str],
    endpoint: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": name, "namespace": series.namespace, "labels": dict(labels)},
        "spec": {"selector": {"matchLabels": dict(selector)}, "podMetricsEndpoints": [dict(endpoint)]},
    }


def _timing() -> dict[str, Any]:
    return {"interval": f"{SCRAPE_INTERVAL_S}s", "scrapeTimeout": f"{SCRAPE_TIMEOUT_S}s"}


def _job(job: str) -> dict[str, Any]:
    reason = (
        "Every query asks for this job, so each pod counts once, even if another scrape configuration reads it too."
    )
    return {"targetLabel": "job", "replacement": Because(job, reason), "action": "replace"}


def _drop(label: str, regex: str) -> dict[str, Any]:
    return {"sourceLabels": [label], "action": "drop", "regex": regex}


def _family(metric: str) -> str:
    return re.sub(r"_(bucket|sum|count)$", "", metric)
