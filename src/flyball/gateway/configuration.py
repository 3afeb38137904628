"""Envoy's bootstrap configuration for a gateway, as data and as text."""

import yaml

from flyball.gateway.cluster import replicas
from flyball.gateway.listener import gateway_listener, metrics_listener
from flyball.gateway.settings import DnsEndpoints, FileEndpoints, GatewaySettings

ADMIN_PATHS = [
    *({"prefix": path} for path in ("/stats", "/drain_listeners")),
    *({"exact": path} for path in ("/ready", "/listeners")),
]
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
        "overload_manager": _overload(max_pending=settings.max_pending, max_heap_bytes=settings.max_heap_bytes),
        "static_resources": {"listeners": listeners, "clusters": clusters},
    }


def _overload(*, max_pending: int, max_heap_bytes: int) -> dict[str, object]:
    """Limits of the whole process: connections of clients, and memory, of which request bodies are most.

    Idle clients keep connections too, so there are twice as many as requests: one too many is told 503, not cut off.
    Close to the heap's limit new requests are answered 503 until there is room; those that are being read go on.
    """
    monitors = "type.googleapis.com/envoy.extensions.resource_monitors"
    heap = "envoy.resource_monitors.fixed_heap"
    return {
        "refresh_interval": "0.1s",
        "resource_monitors": [
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": f"{monitors}.downstream_connections.v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": 2 * max_pending + 256,
                },
            },
            {
                "name": heap,
                "typed_config": {
                    "@type": f"{monitors}.fixed_heap.v3.FixedHeapConfig",
                    "max_heap_size_bytes": max_heap_bytes,
                },
            },
        ],
        "actions": [
            {
                "name": "envoy.overload_actions.stop_accepting_requests",
                "triggers": [{"name": heap, "threshold": {"value": 0.9}}],
            },
        ],
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
    return _HEADER + yaml.dump(configuration, Dumper=_WithoutAliases, sort_keys=False, width=120)


class _WithoutAliases(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


_HEADER = """\
# Envoy in front of vLLM replicas. Written by flyball; plain Envoy runs it.
# - Requests: /v1/* only, to the replica with the fewest in flight; /health is 200 while there is a replica.
# - A request of whose answer no byte has come is retried on another replica. The upstream filter `hold` is what makes
#   "no byte" true: vLLM sends its headers at once, and the filter keeps them until the first token follows.
# - No limit on the whole answer; stream_idle_timeout cuts one that stands still.
# - circuit_breakers bound the requests in the system: one more is answered 503 with x-envoy-overloaded.
"""
