"""The door: what a client's connection and request must pass on their way to the routes."""

from flyball.gateway.access_log import access_log
from flyball.gateway.replies import local_replies
from flyball.gateway.routes import BODY_FILTER, CLUSTER, route_configuration
from flyball.gateway.settings import GatewaySettings

EXTENSIONS = "type.googleapis.com/envoy.extensions"


def gateway_listener(settings: GatewaySettings, *, log: str) -> dict[str, object]:
    """The listener that clients connect to; HTTP/1.1 and HTTP/2 without TLS. `log`: the access log's path."""
    manager: dict[str, object] = {
        "@type": f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "codec_type": "AUTO",
        "early_header_mutation_extensions": [_untrusted()],
        "use_remote_address": True,  # x-forwarded-for ends with the address that we see
        "always_set_request_id_in_response": True,
        # The allow-list compares what a replica would make of the path.
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "stream_idle_timeout": f"{settings.idle_timeout_s:g}s",
        "request_headers_timeout": "10s",
        "request_timeout": "300s",  # to send the request; not the answer's
        "common_http_protocol_options": {"idle_timeout": "300s"},  # between requests
        "access_log": access_log(log),
        "local_reply_config": local_replies(
            max_pending=settings.max_pending, max_body_bytes=settings.max_body_bytes, api_key=settings.api_key
        ),
        "http_filters": _filters(settings),
        "route_config": route_configuration(retries=settings.retries, max_body_bytes=settings.max_body_bytes),
    }
    return _listener("gateway", settings.host, settings.port, manager)


def metrics_listener(host: str, port: int) -> dict[str, object]:
    """GET /stats/prometheus and /ready of the admin port, and nothing else of it."""
    routes = [
        {"match": {"path": path, "headers": [_header(":method", "GET")]}, "route": {"cluster": "admin"}}
        for path in ("/stats/prometheus", "/ready")
    ]
    manager: dict[str, object] = {
        "@type": f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "metrics",
        "http_filters": [_router()],
        "route_config": {"virtual_hosts": [{"name": "metrics", "domains": ["*"], "routes": routes}]},
    }
    return {**_listener("metrics", host, port, manager), "ignore_global_conn_limit": True}


def _listener(name: str, host: str, port: int, manager: dict[str, object]) -> dict[str, object]:
    return {
        "name": name,
        "address": {"socket_address": {"address": host, "port_value": port}},
        # Two gateways on one port would otherwise share its clients without a word.
        "enable_reuse_port": False,
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


def _filters(settings: GatewaySettings) -> list[dict[str, object]]:
    key_check = [] if settings.api_key is None else [_key_check(settings.api_key)]
    return [_health(), *key_check, _whole_body(settings.max_body_bytes), _router()]


def _untrusted() -> dict[str, object]:
    """Forget the headers by which a client could change timeouts and retries, or name its request.

    vLLM takes the x-request-id for its own name of the request, which must be unique. Envoy would strip most of these
    from clients that it takes for external; loopback and private addresses are not.
    """
    return {
        "name": "untrusted",
        "typed_config": {
            "@type": f"{EXTENSIONS}.http.early_header_mutation.header_mutation.v3.HeaderMutation",
            "mutations": [
                {"remove_on_match": {"key_matcher": {"prefix": "x-envoy-"}}},
                {"remove": "x-request-id"},
            ],
        },
    }


def _health() -> dict[str, object]:
    """/health is 200 while at least one replica is listed and not ejected, else 503.

    The gateway answers itself: a replica is listed only when it is ready, and a probe that waited behind requests in a
    saturated replica would report an outage that is none. 1 % stands for "more than none".
    """
    return {
        "name": "health",
        "typed_config": {
            "@type": f"{EXTENSIONS}.filters.http.health_check.v3.HealthCheck",
            "pass_through_mode": False,
            "headers": [_header(":path", "/health")],
            "cluster_min_healthy_percentages": {CLUSTER: {"value": 1}},
        },
    }


def _key_check(key: str) -> dict[str, object]:
    # Role-based access control, because Envoy's filter for API keys is marked as work in progress.
    policy = {"permissions": [{"any": True}], "principals": [{"header": _header("authorization", f"Bearer {key}")}]}
    return {
        "name": "key",
        "typed_config": {
            "@type": f"{EXTENSIONS}.filters.http.rbac.v3.RBAC",
            "rules": {"action": "ALLOW", "policies": {"key": policy}},
        },
    }


def _whole_body(max_bytes: int) -> dict[str, object]:
    """The body is read whole before a replica is chosen; a larger one is answered 413.

    So a slow upload holds no place in a replica, and any admitted request can be sent to another one. Only the route
    turns it on: what is not admitted is answered without its body, which for CONNECT never ends.
    """
    return {
        "name": BODY_FILTER,
        "disabled": True,
        "typed_config": {"@type": f"{EXTENSIONS}.filters.http.buffer.v3.Buffer", "max_request_bytes": max_bytes},
    }


def _router() -> dict[str, object]:
    return {"name": "router", "typed_config": {"@type": f"{EXTENSIONS}.filters.http.router.v3.Router"}}


def _header(name: str, exactly: str) -> dict[str, object]:
    return {"name": name, "string_match": {"exact": exactly}}
