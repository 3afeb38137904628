"""Alerts about the gateway: what clients get, and how it fares with the replicas behind it."""

from collections.abc import Iterator

from flyball.manifests.promql import absent, increase, over_time, rate, total
from flyball.manifests.rules import Alert, Group
from flyball.manifests.series import Series


def gateway_alerts(series: Series) -> Group:
    alerts = (*_answers(series), *_replicas(series))
    return Group(name=f"{series.name}-gateway-alerts", rules=alerts)


def _answers(series: Series) -> Iterator[Alert]:
    yield Alert(
        name="VllmGatewayDown",
        query=absent(series.gateway_up().equals(1)),
        wait="2m",
        severity="critical",
        summary="No gateway answers Prometheus",
        meaning="No Envoy is up, or none can be scraped. In the first case nobody can reach the service.",
        runbook=(
            "kubectl get pods of the gateway; kubectl logs: a rejected configuration is named there.",
            "Pods ready and targets down: the NetworkPolicy must admit Prometheus to the port named metrics.",
        ),
    )
    failed = series.gateway("envoy_http_downstream_rq_xx", envoy_response_code_class="5")
    every = series.gateway("envoy_http_downstream_rq_total")
    share = total(rate(failed, "5m")) / total(rate(every, "5m"))
    yield Alert(
        name="VllmGatewayErrors",
        query=share.is_above(0.02).where(total(increase(failed, "5m")).is_above(5)),
        wait="5m",
        severity="critical",
        summary="{{ $value | humanizePercentage }} of the requests are answered with a 5xx",
        meaning="Clients see errors after the gateway's retries: no replica would take the request, or it was refused.",
        runbook=(
            "Refused for too many requests (overflow)? See VllmGatewayOverflow.",
            "No replica? See VllmGatewayNoReplica and VllmNoReplicaReady.",
            "Otherwise the access log has the response flags of each: UF and URX are replicas that fail.",
        ),
    )
    overflow = increase(series.gateway("envoy_cluster_upstream_rq_active_overflow"), "5m") + increase(
        series.gateway("envoy_cluster_upstream_rq_pending_overflow"), "5m"
    )
    yield Alert(
        name="VllmGatewayOverflow",
        query=total(overflow).is_above(0),
        wait="2m",
        severity="warning",
        summary="{{ $value | humanize }} requests in 5 minutes were refused because gateway.max_pending was reached",
        meaning="There is more work in the system than the gateway admits; it answers 503 with x-envoy-overloaded.",
        runbook=(
            "It protects the replicas. Is it expected at this load? Then scale: see the autoscaler's alerts.",
            "If the replicas could queue more, raise gateway.max_pending.",
        ),
    )


def _replicas(series: Series) -> Iterator[Alert]:
    healthy = series.gateway("envoy_cluster_membership_healthy")
    yield Alert(
        name="VllmGatewayNoReplica",
        query=total(over_time("max", healthy, "1m")).equals(0),
        wait="1m",
        severity="critical",
        summary="No gateway has a replica to send requests to",
        meaning="The headless Service resolves to nothing, or all replicas are ejected after failed connections.",
        runbook=(
            "kubectl get endpointslices of the headless Service: empty means that no pod is ready.",
            "Addresses are there: can the gateway's pod reach port 8000 (NetworkPolicy), does DNS answer?",
        ),
    )
    waiting = series.gateway("envoy_cluster_upstream_rq_pending_active")
    yield Alert(
        name="VllmGatewayPending",
        query=total(over_time("min", waiting, "5m")).is_above(0),
        wait="5m",
        severity="warning",
        summary="Requests wait in the gateway for a connection to a replica",
        meaning="The gateway opens a connection for each request at once, so a wait of minutes means that replicas do"
        " not accept connections: hung API servers, or packets that are dropped.",
        runbook=(
            "Connect failures by replica: is it one pod? Delete it.",
            "All of them: a NetworkPolicy or the network itself; the replicas' API servers at 100 % of a CPU?",
        ),
    )
    retried = series.gateway("envoy_cluster_upstream_rq_retry")
    every = series.gateway("envoy_http_downstream_rq_total")
    yield Alert(
        name="VllmGatewayRetries",
        query=(total(rate(retried, "10m")) / total(rate(every, "10m"))).is_above(0.1),
        wait="10m",
        severity="warning",
        summary="{{ $value | humanizePercentage }} of the requests are retried",
        meaning="Replicas fail or reject before the first byte. Clients do not see it yet; each retry costs TTFT.",
        runbook=(
            "During a rollout or a scale-in for a minute: normal, replicas that drain answer 500.",
            "Otherwise find the replica: rejections (queue full), restarts, connect failures.",
        ),
    )
