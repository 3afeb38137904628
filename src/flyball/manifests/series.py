"""Which series are the service's: every selector that is rendered comes from here, with its scope.

Prometheus gives each series the labels of the target that it was scraped from. `Series` fixes them in one place, for
the queries and for the PodMonitors that must yield them (`flyball.manifests.scraping`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from flyball.catalog import EngineRelease
from flyball.manifests.exporters import DCGM, ENVOY, KUBE_STATE, find
from flyball.manifests.promql import MetricType, Regex, Vector, select, total

TARGET_LABELS = ("namespace", "pod", "container", "job", "instance", "endpoint")
"""What a PodMonitor's targets carry (prometheus-operator, pkg/prometheus/promcfg.go, generatePodMonitorConfig)."""
ENGINE_CONTAINER, GATEWAY_CONTAINER = "vllm", "envoy"
_LISTENER = {"envoy_http_conn_manager_prefix": "gateway"}
_CLUSTER = {"envoy_cluster_name": "replicas"}
"""As the gateway's configuration names its listener and its cluster; the admin port has others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The series of one service. Names and labels of vLLM's are checked against its release."""

    name: str
    namespace: str
    release: EngineRelease

    @property
    def engine_job(self) -> str:
        """The `job` label of the replicas' series.

        A query that asks for the job counts each replica once, even where a second scrape configuration (by annotation,
        by a ServiceMonitor) reads the same pods; a sum over pods alone would double, and with it the replicas.
        """
        return f"{self.name}-engine"

    @property
    def gateway_job(self) -> str:
        return f"{self.name}-gateway"

    @property
    def labels(self) -> Mapping[str, str]:
        """What recorded series and alerts carry, so that they can be told from another service's."""
        return {"namespace": self.namespace, "service": self.name}

    def engine(self, metric: str, **matchers: str | Regex) -> Vector:
        """A metric of vLLM, over the service's replicas. UsageError where the release lacks it or a label of it."""
        known = self.release.requires_metric(metric, matchers)
        if known.type == "histogram" and metric == known.name:
            raise ValueError(f"{metric} is a histogram: ask for its _bucket, _sum or _count")
        labels = (*(known.labels or ()), *(("le",) if metric.endswith("_bucket") else ()))
        return self._scraped(self.engine_job, metric, known.type, labels, matchers)

    def gateway(self, metric: str, **matchers: str | Regex) -> Vector:
        """A metric of Envoy about the door or about the replicas behind it."""
        known = find(metric, ENVOY, exporter="Envoy")
        side = _CLUSTER if metric.startswith("envoy_cluster_") else _LISTENER
        return self._scraped(self.gateway_job, metric, known.type, known.labels, {**side, **matchers})

    def engine_up(self) -> Vector:
        """1 for each replica that was scraped, 0 for each that could not be: loading, or out of reach."""
        return self._scraped(self.engine_job, "up", "gauge", (), {})

    def gateway_up(self) -> Vector:
        return self._scraped(self.gateway_job, "up", "gauge", (), {})

    def deployments(self, metric: str) -> Vector:
        """The sum over the replicas' Deployments: there are two where some run on demand and the others on spot."""
        names = Regex(f"{self.name}-engine(-floor)?")
        return total(self._kube(metric, {"namespace": self.namespace, "deployment": names}))

    def autoscaler(self, metric: str, hpa: str, **matchers: str | Regex) -> Vector:
        """Of the HorizontalPodAutoscaler of that name."""
        return self._kube(metric, {"namespace": self.namespace, "horizontalpodautoscaler": hpa, **matchers})

    def pods(self, metric: str, **matchers: str | Regex) -> Vector:
        """Of the replicas' pods, whatever their state."""
        return self._kube(metric, {"namespace": self.namespace, "pod": self.pod_names, **matchers})

    def nodes(self, metric: str, **matchers: str | Regex) -> Vector:
        """Of every node: join it to the pods."""
        return self._kube(metric, matchers)

    def gpus(self, metric: str) -> Vector:
        """Of the GPUs that the replicas hold."""
        known = find(metric, DCGM, exporter="dcgm-exporter")
        matchers: dict[str, str | Regex] = {"exported_namespace": self.namespace, "exported_pod": self.pod_names}
        return select(metric, metric_type=known.type, labels=(*TARGET_LABELS, *known.labels), matchers=matchers)

    def recorded(self, record: str, *labels: str, **matchers: str) -> Vector:
        """A recording rule of this service's own; `labels` are those besides the service's."""
        return select(
            record,
            metric_type="gauge",
            labels=(*self.labels, *labels, *matchers),
            matchers={**self.labels, **matchers},
        )

    @property
    def pod_names(self) -> Regex:
        """Those of the Deployments' ReplicaSets: `chat-engine-6c9f8d7b5-x2x7k`."""
        return Regex(f"{self.name}-engine-(floor-)?[a-z0-9]+-[a-z0-9]{{5}}")

    def _scraped(
        self,
        job: str,
        metric: str,
        kind: MetricType,
        labels: tuple[str, ...],
        matchers: Mapping[str, str | Regex],
    ) -> Vector:
        return select(
            metric,
            metric_type=kind,
            labels=(*TARGET_LABELS, *labels),
            matchers={"namespace": self.namespace, "job": job, **matchers},
        )

    def _kube(self, metric: str, matchers: Mapping[str, str | Regex]) -> Vector:
        known = find(metric, KUBE_STATE, exporter="kube-state-metrics")
        return select(metric, metric_type=known.type, labels=known.labels, matchers=matchers)
