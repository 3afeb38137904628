"""Each alert in Prometheus' own evaluator (promtool): input that fires it, and input close to it that does not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from flyball.manifests.prometheus_rules import rule_file, rule_groups
from flyball.manifests.rules import Alert
from flyball.manifests.watch import Watch

Promtool = Callable[..., str]
ALERT_GROUPS = ("objective-alerts", "engine-alerts", "scaling-alerts", "gateway-alerts", "gpu-alerts")
POD, OTHER = "chat-engine-6c9f8d7b5-x2x7k", "chat-engine-floor-7d8c9-abcde"
ENGINE = f'namespace="llm",job="chat-engine",pod="{POD}",engine="0",model_name="m"'
GATEWAY = 'namespace="llm",job="chat-gateway",pod="g"'
DOOR = f'{GATEWAY},envoy_http_conn_manager_prefix="gateway"'
BEHIND = f'{GATEWAY},envoy_cluster_name="replicas"'
DEPLOYMENT = 'namespace="llm",deployment="chat-engine"'
HPA = 'namespace="llm",horizontalpodautoscaler="keda-hpa-chat-engine"'
OF_POD = f'namespace="llm",pod="{POD}",uid="u"'
GPU = f'exported_namespace="llm",exported_pod="{POD}",gpu="0",Hostname="n"'
READY = {f"kube_deployment_status_replicas_ready{{{DEPLOYMENT}}}": "2x400"}
RUNNING, WAITING = f"vllm:num_requests_running{{{ENGINE}}}", f"vllm:num_requests_waiting{{{ENGINE}}}"
TTFT, TPOT = "vllm:time_to_first_token_seconds", "vllm:request_time_per_output_token_seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Series with a value a minute, and whether the alert fires at `at`."""

    alert: str
    fires: bool
    at: str
    series: Mapping[str, str]


def fires(alert: str, at: str, series: Mapping[str, str]) -> Case:
    return Case(alert=alert, fires=True, at=at, series=series)


def quiet(alert: str, at: str, series: Mapping[str, str]) -> Case:
    return Case(alert=alert, fires=False, at=at, series=series)


def latency(metric: str, le: str, *, within: str, every: str) -> dict[str, str]:
    """Counters of the requests below the bucket's bound, and of all."""
    return {f'{metric}_bucket{{{ENGINE},le="{le}"}}': within, f"{metric}_count{{{ENGINE}}}": every}


def answers(failed: str, every: str) -> dict[str, str]:
    return {
        f'envoy_http_downstream_rq_xx{{{DOOR},envoy_response_code_class="5"}}': failed,
        f"envoy_http_downstream_rq_total{{{DOOR}}}": every,
    }


def busy(running: str = "4x60", waiting: str = "0x60") -> dict[str, str]:
    return {RUNNING: running, WAITING: waiting}


STEPS = f"vllm:iteration_tokens_total_count{{{ENGINE}}}"
TOKENS = f"vllm:generation_tokens_total{{{ENGINE}}}"
PREEMPTED, KV = f"vllm:num_preemptions_total{{{ENGINE}}}", f"vllm:kv_cache_usage_perc{{{ENGINE}}}"
IN_FLIGHT = f"envoy_cluster_upstream_rq_active{{{BEHIND}}}"
FINISHED = f'vllm:request_success_total{{{ENGINE},finished_reason="stop"}}'
FAILED = f'vllm:request_success_total{{{ENGINE},finished_reason="error"}}'
REJECTED = f'vllm:admission_rejections_total{{{ENGINE},reason="max_num_queued_reqs"}}'
RESTARTS = f'kube_pod_container_status_restarts_total{{{OF_POD},container="vllm"}}'
START = f"kube_pod_start_time{{{OF_POD}}}"
UNREADY = f'kube_pod_status_ready{{{OF_POD},condition="false"}}'
TAINT = 'kube_node_spec_taint{node="n1",key="karpenter.sh/disrupted",value="",effect="NoSchedule"}'
GPU_TAINT = TAINT.replace("karpenter.sh/disrupted", "nvidia.com/gpu")
ON_NODE = f'kube_pod_info{{{OF_POD},node="n1"}}'
DESIRED = f"kube_horizontalpodautoscaler_status_desired_replicas{{{HPA}}}"
MOST = f"kube_horizontalpodautoscaler_spec_max_replicas{{{HPA}}}"
BLIND = f'kube_horizontalpodautoscaler_status_condition{{{HPA},condition="ScalingActive",status="false"}}'
HEALTHY = f"envoy_cluster_membership_healthy{{{BEHIND}}}"
PENDING = f"envoy_cluster_upstream_rq_pending_active{{{BEHIND}}}"
RETRIES = f"envoy_cluster_upstream_rq_retry{{{BEHIND}}}"
OVERFLOW = f"envoy_cluster_upstream_rq_active_overflow{{{BEHIND}}}"
OVERFLOW_PENDING = f"envoy_cluster_upstream_rq_pending_overflow{{{BEHIND}}}"
UP, GATEWAY_UP = f'up{{namespace="llm",job="chat-engine",pod="{POD}"}}', f"up{{{GATEWAY}}}"

CASES = (
    fires("VllmNoReplicaReady", "5m", {f"kube_deployment_status_replicas_ready{{{DEPLOYMENT}}}": "0x10"}),
    quiet("VllmNoReplicaReady", "5m", READY),
    # Two Deployments: the floor serves while the spot replicas are all gone.
    quiet(
        "VllmNoReplicaReady",
        "5m",
        {
            f"kube_deployment_status_replicas_ready{{{DEPLOYMENT}}}": "0x10",
            'kube_deployment_status_replicas_ready{namespace="llm",deployment="chat-engine-floor"}': "1x10",
        },
    ),
    fires("VllmReplicaNotScraped", "10m", READY | {UP: "1x20", UP.replace(POD, OTHER): "0x20"}),
    quiet("VllmReplicaNotScraped", "10m", READY | {UP: "1x20", UP.replace(POD, OTHER): "1x20"}),
    fires("VllmEngineWedged", "10m", busy() | {STEPS: "500x20"}),
    quiet("VllmEngineWedged", "10m", busy() | {STEPS: "500+40x20"}),
    quiet("VllmEngineWedged", "10m", busy("0x20", "0x20") | {STEPS: "500x20"}),
    # One of two ranks: the other one's steps do not hide it.
    fires(
        "VllmEngineWedged",
        "10m",
        busy() | {STEPS: "500x20", STEPS.replace('engine="0"', 'engine="1"'): "500+40x20"},
    ),
    fires("VllmServiceStalled", "10m", {IN_FLIGHT: "3x20", TOKENS: "900x20"} | busy("0x20", "0x20")),
    quiet("VllmServiceStalled", "10m", {IN_FLIGHT: "3x20", TOKENS: "900+60x20"}),
    quiet("VllmServiceStalled", "10m", {IN_FLIGHT: "0x20", TOKENS: "900x20"}),
    fires("VllmQueueGrowing", "30m", busy(waiting="0 5+2x60")),
    quiet("VllmQueueGrowing", "30m", busy(waiting="40-1x60")),
    # Bursts that grow and are served, each of them.
    quiet("VllmQueueGrowing", "15m", busy(waiting="0 5 9 0 6 9 0 7 12 0 8 14 0 9 17 0")),
    fires("VllmPreemptionThrash", "20m", {PREEMPTED: "0+6x30", KV: "0.99x30"}),
    quiet("VllmPreemptionThrash", "20m", {PREEMPTED: "0+6x30", KV: "0.6x30"}),
    quiet("VllmPreemptionThrash", "20m", {PREEMPTED: "6x30", KV: "0.99x30"}),
    fires("VllmRequestsRejected", "15m", {REJECTED: "0+3x20"}),
    quiet("VllmRequestsRejected", "15m", {REJECTED: "7x20"}),
    fires("VllmRequestsFail", "15m", {FAILED: "0+3x20", FINISHED: "0+60x20"}),
    quiet("VllmRequestsFail", "15m", {FAILED: "2x20", FINISHED: "0+60x20"}),
    fires("VllmReplicaCrashLooping", "30m", {RESTARTS: "0x5 1x5 2x5 3x5 4x20"}),
    quiet("VllmReplicaCrashLooping", "30m", {RESTARTS: "0x10 1x40"}),
    fires("VllmReplicaSlowStart", "8m", {START: "0x20", UNREADY: "1x20"}),
    quiet("VllmReplicaSlowStart", "5m", {START: "0x20", UNREADY: "1x20"}),
    quiet("VllmReplicaSlowStart", "8m", {START: "0x20", UNREADY: "1x4 0x20"}),
    fires("VllmReplicaPending", "20m", {f"kube_pod_status_unschedulable{{{OF_POD}}}": "1x30"}),
    quiet("VllmReplicaPending", "20m", {f"kube_pod_status_unschedulable{{{OF_POD}}}": "1x8"}),
    fires("VllmNodeLeaving", "5m", {TAINT: "1x10", ON_NODE: "1x10"}),
    quiet("VllmNodeLeaving", "5m", {GPU_TAINT: "1x10", ON_NODE: "1x10"}),
    quiet("VllmNodeLeaving", "5m", {TAINT: "1x10", ON_NODE.replace("n1", "n2"): "1x10"}),
    fires("VllmScalingSignalLost", "15m", READY | busy("4 4 stale", "0 0 stale")),
    quiet("VllmScalingSignalLost", "15m", READY | busy()),
    quiet("VllmScalingSignalLost", "15m", {f"kube_deployment_status_replicas_ready{{{DEPLOYMENT}}}": "0x40"}),
    fires("VllmScalingSignalLost", "15m", {}),
    fires("VllmAutoscalerCannotAct", "10m", {BLIND: "1x20"}),
    quiet("VllmAutoscalerCannotAct", "10m", {BLIND: "0x20", BLIND.replace('"false"', '"true"'): "1x20"}),
    fires("VllmAutoscalerAtMaximum", "30m", busy(waiting="5x60") | {DESIRED: "8x60", MOST: "8x60"}),
    quiet("VllmAutoscalerAtMaximum", "30m", busy() | {DESIRED: "8x60", MOST: "8x60"}),
    quiet("VllmAutoscalerAtMaximum", "30m", busy(waiting="5x60") | {DESIRED: "7x60", MOST: "8x60"}),
    fires("VllmGatewayDown", "5m", {GATEWAY_UP: "0x10"}),
    fires("VllmGatewayDown", "5m", {}),
    quiet("VllmGatewayDown", "5m", {GATEWAY_UP: "1x10", GATEWAY_UP.replace('"g"', '"h"'): "0x10"}),
    fires("VllmGatewayErrors", "15m", answers("0+6x20", "0+60x20")),
    quiet("VllmGatewayErrors", "15m", answers("0x20", "0+60x20")),
    quiet("VllmGatewayErrors", "15m", answers("0x13 1x10", "0x13 2x10")),
    fires("VllmGatewayOverflow", "10m", {OVERFLOW: "0+2x20", OVERFLOW_PENDING: "0x20"}),
    quiet("VllmGatewayOverflow", "10m", {OVERFLOW: "5x20", OVERFLOW_PENDING: "3x20"}),
    fires("VllmGatewayNoReplica", "5m", {HEALTHY: "0x10"}),
    quiet("VllmGatewayNoReplica", "5m", {HEALTHY: "1x10"}),
    fires("VllmGatewayPending", "15m", {PENDING: "2x20"}),
    quiet("VllmGatewayPending", "15m", {PENDING: "2 0 2 0 2 0 2 0 2 0 2 0 2 0 2 0 2"}),
    fires("VllmGatewayRetries", "25m", answers("0x30", "0+60x30") | {RETRIES: "0+12x30"}),
    quiet("VllmGatewayRetries", "25m", answers("0x30", "0+60x30") | {RETRIES: "0+2x30"}),
    fires("GpuXidError", "2m", {f"DCGM_FI_DEV_XID_ERRORS{{{GPU}}}": "0 79x5"}),
    quiet("GpuXidError", "2m", {f"DCGM_FI_DEV_XID_ERRORS{{{GPU}}}": "0 31x5"}),
    quiet("GpuXidError", "2m", {f"DCGM_FI_DEV_XID_ERRORS{{{GPU.replace('chat-engine', 'train')}}}": "79x5"}),
    fires("GpuRowRemapFailed", "2m", {f"DCGM_FI_DEV_ROW_REMAP_FAILURE{{{GPU}}}": "1x5"}),
    quiet("GpuRowRemapFailed", "2m", {f"DCGM_FI_DEV_ROW_REMAP_FAILURE{{{GPU}}}": "0x5"}),
    fires("GpuRowsRemapped", "10m", {f"DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS{{{GPU}}}": "3x5 4x10"}),
    quiet("GpuRowsRemapped", "10m", {f"DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS{{{GPU}}}": "3x20"}),
    fires("GpuMetricsMissing", "20m", READY),
    quiet("GpuMetricsMissing", "20m", READY | {f"DCGM_FI_PROF_DRAM_ACTIVE{{{GPU}}}": "0.4x40"}),
    quiet("GpuMetricsMissing", "20m", {}),
)  # fmt: skip


def document(*tests: Mapping[str, object], interval: str = "1m") -> dict[str, object]:
    return {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": interval,
        # Else in any order; with steps of half an hour an alert would meet a record that is half an hour old.
        "group_eval_order": [f"chat-{name}" for name in ("load", "objective", *ALERT_GROUPS)],
        "tests": [*tests],
    }


def expectation(
    series: Mapping[str, str], expression: str, at: str, samples: Mapping[str, float], interval: str = "1m"
) -> dict[str, object]:
    """`samples`: values by labels."""
    return {
        "interval": interval,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": expression,
                "eval_time": at,
                "exp_samples": [{"labels": labels, "value": value} for labels, value in samples.items()],
            }
        ],
    }


def group_of(watch: Watch, name: str) -> dict[str, object]:
    """The rule file with one group of alerts and what it needs recorded."""
    needed = {f"chat-{name}", "chat-load", *(["chat-objective"] if name == "objective-alerts" else [])}
    return {"groups": [group for group in rule_file(watch)["groups"] if group["name"] in needed]}


@pytest.mark.long
@pytest.mark.parametrize("name", ALERT_GROUPS[1:])
def test_an_alert_fires_when_it_should_and_not_otherwise(name: str, watch: Watch, promtool: Promtool) -> None:
    """With the series of a failure each fires after its time; with those of a service that copes none does."""
    rules = group_of(watch, name)
    tests = [
        expectation(
            case.series,
            f'count(ALERTS{{alertname="{case.alert}",alertstate="firing",service="chat"}})',
            case.at,
            {"{}": 1} if case.fires else {},
        )
        for case in CASES
        if any(rule.get("alert") == case.alert for group in rules["groups"] for rule in group["rules"])  # type: ignore[attr-defined]
    ]

    promtool("test", "rules", "cases.yaml", rules=rules, cases=document(*tests))


def test_every_alert_is_tried_both_ways(watch: Watch) -> None:
    """No alert is without a case that fires it and one that does not."""
    alerts = {rule.name for group in rule_groups(watch) for rule in group.rules if isinstance(rule, Alert)}
    alerts.remove("VllmObjectiveMissed")  # below

    assert alerts == {case.alert for case in CASES if case.fires} == {case.alert for case in CASES if not case.fires}


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """Counters with a value every `step`, and the windows of the alerts that fire at `at`."""

    within: str
    every: str
    at: str
    step: str = "5m"
    severity: str = "critical"
    windows: tuple[str, ...] = ()


BURNS = {
    "nearly all late: both pages within the hour": Burn(
        within="0+12x30", every="0+300x30", at="55m", windows=("1h", "6h")
    ),
    "an hour of it is over: the short windows end the pages": Burn(within="0x11 0+300x20", every="0+300x40", at="100m"),
    "30 % late: no page in the first hours": Burn(within="0+210x200", every="0+300x200", at="2h"),
    "3 % late, where 5 % may": Burn(within="0+97x200", every="0+100x200", at="80h", step="30m", severity="warning"),
    "7 % late: a ticket after days": Burn(
        within="0+93x200", every="0+100x200", at="80h", step="30m", severity="warning", windows=("3d",)
    ),
    "too few requests to tell": Burn(within="0x30", every="0+1x30", at="90m"),
}


@pytest.mark.parametrize("name", BURNS)
def test_the_budget_s_alerts(name: str, watch: Watch, promtool: Promtool) -> None:
    """TTFT p95 of 200 ms: which of the four burn rates fire, for a share of requests that miss it."""
    burn = BURNS[name]
    firing = f'ALERTS{{alertname="VllmObjectiveMissed",alertstate="firing",severity="{burn.severity}"}}'
    test = expectation(
        latency(TTFT, "0.2", within=burn.within, every=burn.every),
        f"count by (window, objective) ({firing})",
        burn.at,
        {f'{{window="{window}",objective="ttft-p95"}}': 1.0 for window in burn.windows},
        interval=burn.step,
    )
    rules = group_of(watch, "objective-alerts")

    promtool("test", "rules", "cases.yaml", rules=rules, cases=document(test, interval=burn.step))


def test_money_follows_the_replicas(watch: Watch, promtool: Promtool) -> None:
    """One replica at $1.00 on demand, three more at $0.40 on spot: $2.20 an hour; none: nothing."""
    usd = "round(service:replica_usd_per_hour:estimate, 0.01)"
    tests = [
        expectation(
            {f"kube_deployment_status_replicas{{{DEPLOYMENT}}}": f"{replicas}x5"},
            usd,
            "3m",
            {'{namespace="llm",service="chat"}': expected},
        )
        for replicas, expected in ((4, 2.2), (1, 1.0), (0, 0.0))
    ]

    promtool("test", "rules", "cases.yaml", rules=group_of(watch, "load"), cases=document(*tests))
