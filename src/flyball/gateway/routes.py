"""Which requests are admitted, and what happens to one whose replica fails."""

CLUSTER = "replicas"
BODY_FILTER = "body"

RETRIABLE_STATUSES = [500, 502, 503, 504]
"""500: a replica that drains or whose engine died; 503: one whose queue is full (--max-num-queued-reqs). Not 501,
which every replica would answer, and no 4xx, which are about the request."""
HOST_PICKS = 512
"""How often a retry picks again when the balancer proposes a replica that has failed this request already.

A replica that fails fast has the fewest requests, so the balancer proposes it nearly always: with two replicas, of
which one is excluded, a pick is good with probability 2 ** -CHOICES. 512 picks miss it once in 10 million retries and
cost 0.1 ms where every replica is excluded."""


def route_configuration(*, retries: int, max_body_bytes: int) -> dict[str, object]:
    """The allow-list: everything under /v1/, on any host name. What matches nothing is 404.

    vLLM serves much more than it guards: /metrics, /invocations (inference without a key), /pause, /resume,
    /update_weights, /tokenize. None of these passes.
    """
    route: dict[str, object] = {
        "cluster": CLUSTER,
        "timeout": "0s",  # answers stream for minutes; the idle timeout of the connection manager guards
    }
    if retries:
        route["retry_policy"] = retry_policy(retries)
    admitted = {
        "match": {"prefix": "/v1/"},
        "route": route,
        "typed_per_filter_config": {
            BODY_FILTER: {
                "@type": "type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute",
                "buffer": {"max_request_bytes": max_body_bytes},
            }
        },
    }
    return {"name": "gateway", "virtual_hosts": [{"name": "gateway", "domains": ["*"], "routes": [admitted]}]}


def retry_policy(retries: int) -> dict[str, object]:
    """Up to `retries` further replicas for a request of whose answer no byte has come.

    Generation has no side effects, so a request that a replica may have worked on can be repeated.
    """
    return {
        "retry_on": "connect-failure,refused-stream,reset,retriable-status-codes",
        "retriable_status_codes": RETRIABLE_STATUSES,
        "num_retries": retries,
        "retry_back_off": {"base_interval": "0.010s", "max_interval": "0.250s"},
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        "host_selection_retry_max_attempts": HOST_PICKS,
    }
