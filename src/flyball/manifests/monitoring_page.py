"""The monitoring page of the documentation, written from the rules and panels themselves."""

from collections.abc import Iterator

from flyball.catalog import DEFAULT_RELEASE, release
from flyball.manifests.dashboard_rows import dashboard_rows
from flyball.manifests.prometheus_rules import rule_groups
from flyball.manifests.rules import Alert, Record
from flyball.manifests.series import Series
from flyball.manifests.watch import ReplicaPrice, Watch
from flyball.spec import SLO, Percentiles

_HEAD = """\
# Monitoring

`flyball render` writes, beside the service: a PodMonitor for the replicas and one for the gateway, recording rules and
alerts (PrometheusRule), and a Grafana dashboard (ConfigMap).
With `-o dir` it adds Helm values for the GPU Operator's DCGM exporter and, where the spec asks for it, for the
Prometheus Adapter.

Every query asks for one service (`namespace` and `job`), sums over its replicas, and is built from the metrics and
labels of the vLLM version that is deployed: what that version lacks cannot be rendered.
The examples below are of a service `chat` with the objective TTFT p95 200 ms.

## The scaling signal

KEDA asks for the sum of running and waiting requests over all replicas and divides it by the target of one replica.

- A pod that loads has no series: it adds nothing and dilutes nothing.
- A scrape that fails takes nothing away: a replica's last value stands in for two scrapes (40 s).
- A rollout leaves the sum as it is, since work only moves.
- When Prometheus has lost every replica, the query returns nothing, KEDA falls back and `VllmScalingSignalLost` fires;
  a zero would remove the replicas.
- A pod that another scrape configuration reads as well is not counted twice, because the query asks for the job.

## What must be there

| exporter | with | without it |
| --- | --- | --- |
| vLLM, Envoy | the PodMonitors, by labels that your Prometheus selects (`kubernetes.monitoring_labels`) | no scaling |
| kube-state-metrics | `honorLabels: true`, as its charts have | no alerts about pods and autoscaler, no money |
| DCGM exporter | `honorLabels: false`, as its charts have; `SYS_ADMIN` for DCGM_FI_PROF | `GpuMetricsMissing` fires |

vLLM's histograms are cut to those that are asked for, and Envoy's 1,200 series to about 40.
Where the objective's bound is none of vLLM's bucket bounds, `--custom-histogram-buckets` makes it one (from 0.32 on;
before, the next lower bound stands for it).
"""


def monitoring_page() -> str:
    """Markdown: the signal, what is recorded, each alert with its runbook, the panels."""
    return "\n".join((_HEAD, *_records(), *_alerts(), *_panels()))


def _watch() -> Watch:
    return Watch(
        series=Series(name="chat", namespace="llm", release=release(DEFAULT_RELEASE)),
        slo=SLO(ttft=Percentiles(p95=0.2)),
        signal="in_system",
        target=24,
        autoscaler="keda-hpa-chat-engine",
        start_up_s=180,
        price=ReplicaPrice(on_demand_usd_per_hour=1.0),
    )


def _records() -> Iterator[str]:
    yield "## What is recorded\n"
    yield "| record | query |"
    yield "| --- | --- |"
    for group in rule_groups(_watch()):
        for rule in group.rules:
            if isinstance(rule, Record):
                yield f"| `{rule.record}` | `{rule.query}` |"
    yield ""


def _alerts() -> Iterator[str]:
    yield "## Alerts\n"
    yield "`critical` wakes somebody; `warning` waits for working hours."
    yield "Of the objective's alerts there are four: two pages and two tickets, by how fast the error budget burns.\n"
    seen: set[str] = set()
    for group in rule_groups(_watch()):
        for rule in group.rules:
            if isinstance(rule, Alert) and rule.name not in seen:
                seen.add(rule.name)
                yield from _alert(rule)


def _alert(alert: Alert) -> Iterator[str]:
    when = "at once" if alert.wait == "0m" else f"after {alert.wait}"
    yield f"### {alert.name}\n"
    yield f"{alert.severity}, {when}. {alert.meaning}\n"
    yield f"```promql\n{alert.query}\n```\n"
    yield from (f"{number}. {step}" for number, step in enumerate(alert.runbook, start=1))
    yield ""


def _panels() -> Iterator[str]:
    yield "## The dashboard\n"
    yield "| row | panel | shows |"
    yield "| --- | --- | --- |"
    for row in dashboard_rows(_watch()):
        for panel in row.panels:
            yield f"| {row.title} | {panel.title} | {panel.description} |"
    yield ""
