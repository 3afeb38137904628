"""Envoy on Kubernetes, with the configuration that serves locally too; a Secret where a key is in it."""

import hashlib
from typing import Any

from flyball.manifests.design import (
    GATEWAY_ADMIN_PORT,
    GATEWAY_METRICS_PORT,
    GATEWAY_PORT,
    ServiceDesign,
)
from flyball.manifests.engine import disruption_budget
from flyball.manifests.engine_pod import image
from flyball.manifests.manifest import Because, Manifest
from flyball.manifests.security import LOCKED_DOWN, pod_security, service_account

ENVOY_USER = 101
"""`envoy` in the image."""
PROPAGATION_S = 10
"""For every node to forget an endpoint of the gateway's Service."""
FOLDER, FILE = "/etc/envoy", "envoy.yaml"

DRAIN = f"""\
ask() {{
  exec 3<>/dev/tcp/127.0.0.1/{GATEWAY_ADMIN_PORT}
  printf '%s HTTP/1.1\\r\\nhost: a\\r\\nconnection: close\\r\\n\\r\\n' "$1" >&3
  cat <&3
}}
ask 'POST /drain_listeners?graceful&skip_exit' >/dev/null
sleep {PROPAGATION_S}
until ask 'GET /stats?filter=http.gateway.downstream_rq_active' | grep -q 'rq_active: 0'; do sleep 1; done
"""
"""Clients are told to close their connections with the answer they get; then wait for the last answer."""


def gateway_objects(design: ServiceDesign, bootstrap: str) -> list[Manifest]:
    """`bootstrap` is Envoy's configuration; with an API key in it if the service has one."""
    replicas = design.kubernetes.gateway_replicas
    budget = [disruption_budget(design, design.gateway_name, "gateway")] if replicas > 1 else []
    return [
        service_account(design, design.gateway_name, "gateway"),
        _configuration(design, bootstrap),
        _deployment(design, bootstrap),
        _service(design),
        *budget,
    ]


def _configuration(design: ServiceDesign, bootstrap: str) -> Manifest:
    has_key = bool(design.spec.gateway.api_key_env)
    kind = {"kind": "Secret", "type": "Opaque", "stringData": {FILE: bootstrap}}
    body = kind if has_key else {"kind": "ConfigMap", "data": {FILE: bootstrap}}
    metadata = design.metadata(design.gateway_name, "gateway")
    return Manifest(
        body={"apiVersion": "v1", "kind": body.pop("kind"), "metadata": metadata, **body},
        file="secrets.yaml" if has_key else "gateway.yaml",
        comment="The API key is in it: keep it out of repositories." if has_key else "",
    )


def _deployment(design: ServiceDesign, bootstrap: str) -> Manifest:
    stream_s = int(-(-float(design.longest_stream_s.value) // 1))
    grace_s = PROPAGATION_S + stream_s + 10
    labels = design.labels("gateway")
    name = design.gateway_name
    source = {"secret": {"secretName": name}} if design.spec.gateway.api_key_env else {"configMap": {"name": name}}
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": design.selector("gateway")},
    }
    pull = design.kubernetes.image_pull_secret
    pod = {
        "serviceAccountName": name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": Because(
            grace_s, f"{PROPAGATION_S} s until no node sends here, {stream_s} s for the longest stream, 10 s to end"
        ),
        "securityContext": pod_security(ENVOY_USER, ENVOY_USER),
        "dnsConfig": Because(
            {"options": [{"name": "ndots", "value": "2"}]},
            "the replicas' name is complete: it must not be tried with every search domain first, every 2 s",
        ),
        **({"imagePullSecrets": [{"name": pull}]} if pull else {}),
        "topologySpreadConstraints": [spread],
        "containers": [_container(design)],
        "volumes": [{"name": "config", **source}, {"name": "tmp", "emptyDir": {}}],
    }
    annotations = {
        "flyball/configuration": Because(
            hashlib.sha256(bootstrap.encode()).hexdigest()[:16], "a changed configuration replaces the pods"
        )
    }
    return Manifest(
        body={
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": design.metadata(name, "gateway"),
            "spec": {
                "replicas": Because(design.kubernetes.gateway_replicas, "one core passes more than many GPUs produce"),
                "selector": {"matchLabels": design.selector("gateway")},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
                "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod},
            },
        },
        file="gateway.yaml",
    )


def _container(design: ServiceDesign) -> dict[str, Any]:
    drained = (
        "Envoy ends at SIGTERM with all its streams. So first: no new connections, then wait for the last answer;"
        " the grace period bounds it"
    )
    return {
        "name": "envoy",
        "image": image(design.kubernetes.envoy_image),
        "imagePullPolicy": "IfNotPresent",
        "command": ["envoy"],
        "args": ["-c", f"{FOLDER}/{FILE}", "--log-level", "warning", "--drain-strategy", "immediate"],
        "ports": [
            {"name": "http", "containerPort": GATEWAY_PORT},
            {"name": "metrics", "containerPort": GATEWAY_METRICS_PORT},
        ],
        "readinessProbe": Because(
            {"httpGet": {"path": "/ready", "port": "metrics"}, "periodSeconds": 5, "failureThreshold": 2},
            "Envoy's own state, not the replicas': without one the gateway must still say 503 and why",
        ),
        "livenessProbe": {
            "httpGet": {"path": "/ready", "port": "metrics"},
            "initialDelaySeconds": 30,
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        "lifecycle": {"preStop": Because({"exec": {"command": ["bash", "-c", DRAIN]}}, drained)},
        "resources": {
            "requests": {"cpu": "1", "memory": "512Mi"},
            "limits": {"memory": Because("1536Mi", "above the 1 GiB at which Envoy itself refuses requests")},
        },
        "securityContext": LOCKED_DOWN,
        "volumeMounts": [
            {"name": "config", "mountPath": FOLDER, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def _service(design: ServiceDesign) -> Manifest:
    return Manifest(
        body={
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": design.metadata(design.name, "gateway"),
            "spec": {
                "selector": design.selector("gateway"),
                "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
            },
        },
        file="gateway.yaml",
        comment="What clients use. A load balancer in front must not buffer, and must wait for a byte at least as long"
        f" as the gateway does: {design.spec.gateway.idle_timeout:g} s.",
    )
