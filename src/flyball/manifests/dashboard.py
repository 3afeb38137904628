"""The Grafana dashboard of a service, in the ConfigMap that Grafana's sidecar picks up."""

import hashlib
import json
from typing import Any

from flyball.manifests.dashboard_rows import dashboard_rows
from flyball.manifests.manifest import Because, Manifest
from flyball.manifests.panels import panels_json
from flyball.manifests.watch import Watch


def dashboard(watch: Watch) -> dict[str, Any]:
    """The dashboard's JSON. UsageError if the release lacks what a panel asks for."""
    series = watch.series
    identity = hashlib.sha256(f"{series.namespace}/{series.name}".encode()).hexdigest()[:12]
    return {
        "uid": f"vllm-{identity}",
        "title": f"vLLM: {series.name} ({series.namespace})",
        "description": f"Service {series.name} on vLLM {series.release.version}",
        "tags": ["vllm"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "timezone": "browser",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0}
            ]
        },
        "annotations": {"list": []},
        "links": [],
        "panels": panels_json(dashboard_rows(watch)),
    }


def dashboard_config_map(watch: Watch, *, labels: dict[str, str], file: str) -> Manifest:
    series = watch.series
    return Manifest(
        file=file,
        body={
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": f"{series.name}-dashboard",
                "namespace": series.namespace,
                "labels": {
                    **labels,
                    "grafana_dashboard": Because(
                        "1", "Grafana's sidecar loads ConfigMaps with this label (kube-prometheus-stack's default)."
                    ),
                },
            },
            "data": {f"{series.name}.json": json.dumps(dashboard(watch), indent=1) + "\n"},
        },
    )
