"""The monitoring of a service: PodMonitors, rules and a dashboard, and Helm values for the exporters around it."""

from typing import Any
from urllib.parse import urlsplit

from flyball.manifests.dashboard import dashboard_config_map
from flyball.manifests.dashboard_rows import dashboard_rows
from flyball.manifests.dcgm import dcgm_exporter_values
from flyball.manifests.design import ServiceDesign
from flyball.manifests.manifest import Because, Manifest
from flyball.manifests.prometheus_rules import rule_file, rule_groups
from flyball.manifests.queries import SCRAPE_INTERVAL_S, adapter_rule
from flyball.manifests.scraping import engine_monitor, gateway_monitor
from flyball.manifests.series import Series
from flyball.manifests.watch import ReplicaPrice, Watch

FILE = "monitoring.yaml"


def watch(design: ServiceDesign) -> Watch:
    """What the monitoring depends on, of the design."""
    hpa = f"keda-hpa-{design.engine_name}" if design.spec.scaling.by == "keda" else design.engine_name
    return Watch(
        series=Series(name=design.name, namespace=design.namespace, release=design.release),
        slo=design.spec.slo,
        signal=design.spec.scaling.signal,
        target=float(design.target.value),
        autoscaler=hpa if design.is_scaled else None,
        start_up_s=float(design.start_s.value),
        price=_price(design),
    )


def _price(design: ServiceDesign) -> ReplicaPrice | None:
    """A replica's share of its machine."""
    if design.on_demand_usd_per_hour is None:
        return None
    share = design.gpus_per_replica / design.machine.accelerator_count
    uses_spot = design.on_demand_floor is not None and design.spot_usd_per_hour is not None
    return ReplicaPrice(
        on_demand_usd_per_hour=share * design.on_demand_usd_per_hour,
        spot_usd_per_hour=share * (design.spot_usd_per_hour or 0.0) if uses_spot else None,
        on_demand_floor=design.on_demand_floor or 0,
    )


def monitoring(design: ServiceDesign) -> tuple[Manifest, ...]:
    """In the service's namespace. UsageError if the release lacks a metric or a label that is asked for."""
    watched = watch(design)
    series, asked = watched.series, asked_metrics(watched)
    extra = dict(design.kubernetes.monitoring_labels)
    monitors = (
        engine_monitor(
            series, selector=design.selector("engine"), labels={**design.labels("engine"), **extra}, asked=asked
        ),
        gateway_monitor(
            series, selector=design.selector("gateway"), labels={**design.labels("gateway"), **extra}, asked=asked
        ),
    )
    labels = design.labels("monitoring")
    return (
        *(Manifest(file=FILE, body=monitor) for monitor in monitors),
        Manifest(
            file=FILE,
            comment="Alerts carry their runbook. The queries ask for this service alone; kube-state-metrics must be"
            " scraped with honorLabels, the DCGM exporter without, as their charts do.",
            body={
                "apiVersion": "monitoring.coreos.com/v1",
                "kind": "PrometheusRule",
                "metadata": {"name": design.name, "namespace": design.namespace, "labels": {**labels, **extra}},
                "spec": rule_file(watched),
            },
        ),
        dashboard_config_map(watched, labels=labels, file="dashboard.yaml"),
    )


def asked_metrics(watched: Watch) -> frozenset[str]:
    """Every metric that a rule or a panel asks for; what is scraped must not lack one."""
    rules = (rule.query for group in rule_groups(watched) for rule in group.rules)
    lines = (line.query for row in dashboard_rows(watched) for panel in row.panels for line in panel.lines)
    return frozenset().union(*(query.metrics for query in (*rules, *lines)))


def dcgm_values(design: ServiceDesign) -> dict[str, Any]:
    """`dcgmExporter` of the GPU Operator's Helm values."""
    return dcgm_exporter_values("gpu-operator", monitor_labels=dict(design.kubernetes.monitoring_labels))


def adapter_values(design: ServiceDesign) -> dict[str, Any]:
    """Helm values of the prometheus-adapter chart: the service's signal as a metric of each pod.

    Several services share the adapter and, with the same signal, the rule.
    """
    prometheus = urlsplit(design.kubernetes.prometheus)
    return {
        "metricsRelistInterval": Because(
            "1m",
            "How soon a series that is new to Prometheus can be asked for; the adapter's own default of 10m is 404 for"
            " that long. It must be longer than the scrape interval"
            f" ({SCRAPE_INTERVAL_S}s), and metrics-max-age not shorter than it.",
        ),
        "prometheus": {
            "url": f"{prometheus.scheme}://{prometheus.hostname}",
            "port": prometheus.port or (443 if prometheus.scheme == "https" else 80),
            "path": prometheus.path,
        },
        "rules": {
            "default": Because(False, "The default rules turn every series in the cluster into a metric."),
            "custom": [adapter_rule(design.spec.scaling.signal, release=design.release)],
        },
    }
