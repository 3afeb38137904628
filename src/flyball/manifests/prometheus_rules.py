"""The PrometheusRule of a service: recording rules and alerts, with the runbook in each alert."""

from typing import Any

from flyball.manifests.engine_alerts import engine_alerts
from flyball.manifests.gateway_alerts import gateway_alerts
from flyball.manifests.gpu_alerts import gpu_alerts
from flyball.manifests.objective_rules import burn_alerts
from flyball.manifests.records import records
from flyball.manifests.rules import Alert, Group, Record
from flyball.manifests.scaling_alerts import scaling_alerts
from flyball.manifests.series import Series
from flyball.manifests.watch import Watch


def rule_groups(watch: Watch) -> tuple[Group, ...]:
    """Records first: the alerts ask for them. UsageError if the release lacks what a rule asks for."""
    return (
        *records(watch),
        burn_alerts(watch),
        engine_alerts(watch),
        *((scaling_alerts(watch, autoscaler=watch.autoscaler),) if watch.autoscaler else ()),
        gateway_alerts(watch.series),
        *((gpu_alerts(watch.series),) if watch.has_gpus else ()),
    )


def rule_file(watch: Watch) -> dict[str, Any]:
    """What a Prometheus without the operator loads as a rule file, and `spec` of a PrometheusRule."""
    groups = [
        {"name": group.name, "rules": [_rule(each, watch.series) for each in group.rules]}
        for group in rule_groups(watch)
    ]
    return {"groups": groups}


def _rule(rule: Record | Alert, series: Series) -> dict[str, Any]:
    if isinstance(rule, Record):
        return {"record": rule.record, "expr": str(rule.query), "labels": {**series.labels, **rule.labels}}
    return {
        "alert": rule.name,
        "expr": str(rule.query),
        **({"for": rule.wait} if rule.wait != "0m" else {}),
        "labels": {"severity": rule.severity, **series.labels, **rule.labels},
        "annotations": {
            "summary": rule.summary,
            "description": rule.meaning,
            "runbook": "\n".join(f"{number}. {step}" for number, step in enumerate(rule.runbook, start=1)),
        },
    }
