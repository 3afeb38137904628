"""Envoy's bootstrap configuration for a gateway, as data and as text."""

import yaml

from flyball.gateway.cluster import replicas
from flyball.gateway.listener import gateway_listener, metrics_listener
from flyball.gateway.settings import DnsEndpoints, FileEndpoints, GatewaySettings

ADMIN_PATHS = [{"prefix": "/stats"}, *({"exact": path} for path in ("/ready", "/listeners", "/drain_listeners"))]
"""What the admin port answers. Not /config_dump, which shows the key, nor /quitquitquit: loopback is every user's."""


def bootstrap(
    settings: GatewaySettings, *, endpoints: FileEndpoints | DnsEndpoints, access_log: str
) -> dict[str, object]:
    """The configuration, ready to be written as YAML or JSON. It holds the API key: keep it from others."""
    admin_address: dict[str, object] = {"socket_address": {"address": "127.0.0.1", "port_value": settings.admin_port}}
    listeners = [gateway_listener(settings, log=access_log)]
    clusters = [replicas(endpoints, max_pending=settings.max_pending)]
    if settings.metrics_port is not None:
        listeners.append(metrics_listener(settings.host, settings.metrics_port))
        clusters.append(_admin_cluster(admin_address))
    return {
        "node": {"id": "gateway", "cluster": "flyball"},
        "admin": {
            "address": admin_address,
            "allow_paths": ADMIN_PATHS,
            "ignore_global_conn_limit": True,
        },
        "overload_manager": _connection_limit(settings.max_pending),
        "static_resources": {"listeners": listeners, "clusters": clusters},
    }


def _connection_limit(max_pending: int) -> dict[str, object]:
    # Idle clients keep connections too; twice as many as requests, so that one too many is told 503, not cut off.
    limit = 2 * max_pending + 256
    return {
        "resource_monitors": [
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.resource_monitors."
                    "downstream_connections.v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": limit,
                },
            }
        ]
    }


def _admin_cluster(address: dict[str, object]) -> dict[str, object]:
    return {
        "name": "admin",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "admin",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def to_yaml(configuration: dict[str, object]) -> str:
    """The configuration as text, with what a reader would ask about first."""
    return _HEADER + yaml.safe_dump(configuration, sort_keys=False, width=120)


_HEADER = """\
# Envoy in front of vLLM replicas. Written by flyball; plain Envoy runs it.
# - Requests: /v1/* only, to the replica with the fewest in flight; /health is 200 while there is a replica.
# - A request of whose answer no byte has come is retried on another replica. The upstream filter `hold` is what makes
#   "no byte" true: vLLM sends its headers at once, and the filter keeps them until the first token follows.
# - No limit on the whole answer; stream_idle_timeout cuts one that stands still.
# - circuit_breakers bound the requests in the system: one more is answered 503 with x-envoy-overloaded.
"""
