"""Which series are the service's: every selector that is rendered comes from here, with its scope.

Prometheus gives each series the labels of the target that it was scraped from. `Series` fixes them in one place, for
the queries and for the PodMonitors that must yield them (`flyball.manifests.scraping`).
"""

from dataclasses import dataclass

from flyball.catalog import EngineRelease
from flyball.manifests.promql import Regex, Vector, select

TARGET_LABELS = ("namespace", "pod", "container", "job", "instance", "endpoint")
"""What a PodMonitor's targets carry (prometheus-operator, pkg/prometheus/promcfg.go, generatePodMonitorConfig)."""


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

    def engine(self, metric: str, **matchers: str | Regex) -> Vector:
        """A metric of vLLM, over the service's replicas. UsageError where the release lacks it or a label of it."""
        known = self.release.requires_metric(metric, matchers)
        if known.type == "histogram" and metric == known.name:
            raise ValueError(f"{metric} is a histogram: ask for its _bucket, _sum or _count")
        labels = (*(known.labels or ()), *(("le",) if metric.endswith("_bucket") else ()))
        return select(
            metric,
            metric_type=known.type,
            labels=(*TARGET_LABELS, *labels),
            matchers={"namespace": self.namespace, "job": self.engine_job, **matchers},
        )
