"""The replicas as Envoy sees them: how they are found, chosen, spared and spoken to."""

from pathlib import PurePosixPath

from flyball.gateway.hold import hold_filter
from flyball.gateway.routes import CLUSTER
from flyball.gateway.settings import DnsEndpoints, FileEndpoints

CHOICES = 5
"""Replicas drawn, with repetition, of which the one with the fewest requests is taken.

Envoy's usual 2 misses the least loaded of three replicas in 44 % of all cases, which costs a queued request its TTFT; 5
miss it in 13 %, and in 3 % with two replicas. A full scan would never miss, but then a retry could never
leave a replica that fails fast, because that one always has the fewest (see HOST_PICKS)."""
KEEPALIVE_S = 4.0
"""vLLM closes a connection that was idle for 5 s (VLLM_HTTP_TIMEOUT_KEEP_ALIVE). We must be first, or a request would
sometimes meet a closing connection; that would be retried, but it costs time."""
UNLIMITED = 2**32 - 1


def replicas(endpoints: FileEndpoints | DnsEndpoints, *, max_pending: int) -> dict[str, object]:
    """The cluster. `max_pending` requests may be in it; one more is answered 503 at once."""
    return {
        "name": CLUSTER,
        **_discovery(endpoints),
        "connect_timeout": "2s",
        "lb_policy": "LEAST_REQUEST",
        "least_request_lb_config": {"choice_count": CHOICES},
        "common_lb_config": {
            # Ejected replicas are used again once there is no other (fewer than 1 % left): better than refusing.
            "healthy_panic_threshold": {"value": 1.0},
            "update_merge_window": "0s",  # an ejection counts at once, not with the next second's
        },
        "circuit_breakers": {"thresholds": [_limits(max_pending)]},
        "outlier_detection": _ejection(),
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "common_http_protocol_options": {"idle_timeout": f"{KEEPALIVE_S:g}s"},
                "explicit_http_config": {"http_protocol_options": {}},  # uvicorn speaks HTTP/1.1
                "http_filters": [
                    hold_filter(),
                    {
                        "name": "codec",
                        "typed_config": {
                            "@type": "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"
                        },
                    },
                ],
            }
        },
    }


def _discovery(endpoints: FileEndpoints | DnsEndpoints) -> dict[str, object]:
    match endpoints:
        case FileEndpoints(path=path):
            source = {"path": path, "watched_directory": {"path": str(PurePosixPath(path).parent)}}
            return {
                "type": "EDS",
                "eds_cluster_config": {
                    "eds_config": {"resource_api_version": "V3", "path_config_source": source},
                },
            }
        case DnsEndpoints(name=name, port=port):
            address = {"socket_address": {"address": name, "port_value": port}}
            return {
                "cluster_type": {
                    "name": "envoy.cluster.dns",
                    "typed_config": {
                        "@type": "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster",
                        "dns_lookup_family": "V4_PREFERRED",
                        "dns_refresh_rate": "2s",  # well within the preStop sleep of a pod that leaves
                    },
                },
                "load_assignment": {
                    "cluster_name": CLUSTER,
                    "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
                },
            }


def _limits(max_pending: int) -> dict[str, object]:
    return {
        "max_requests": max_pending,
        "max_pending_requests": max_pending,  # a burst may find no open connection at all
        "max_connections": UNLIMITED,  # one a request over HTTP/1.1, so bounded by the above
        # When a replica dies, all of its requests are retried at once; Envoy's default of 3 would fail the rest.
        # Bounded all the same: by `retries` a request, and by max_requests.
        "max_retries": max_pending,
    }


def _ejection() -> dict[str, object]:
    """Two failures in a row to connect or to stay connected take a replica out for 5 s, then 10 s, up to 30 s.

    Without it the least-request rule sends every request to a dead replica first, because that has none in flight.
    Statuses never eject: a replica that sheds with 503 is the busiest, and to spare it would overload the others.
    """
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 2,
        "enforcing_consecutive_local_origin_failure": 100,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "interval": "1s",
        "base_ejection_time": "5s",
        "max_ejection_time": "30s",
        "max_ejection_percent": 100,
    }
