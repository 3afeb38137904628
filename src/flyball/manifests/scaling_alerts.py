"""Alerts about the autoscaler: does it see, can it act, has it room?"""

from flyball.manifests.promql import Regex, absent, over_time, total
from flyball.manifests.queries import scaling_signal
from flyball.manifests.records import REQUESTS_WAITING
from flyball.manifests.rules import Alert, Group
from flyball.manifests.series import Series
from flyball.manifests.watch import Watch


def scaling_alerts(watch: Watch, *, autoscaler: str) -> Group:
    """`autoscaler`: the HorizontalPodAutoscaler's name."""
    alerts = (_signal_lost(watch), _cannot_act(watch.series, autoscaler), _at_maximum(watch.series, autoscaler))
    return Group(name=f"{watch.series.name}-scaling-alerts", rules=alerts)


def _signal_lost(watch: Watch) -> Alert:
    none_ready = watch.series.deployments("kube_deployment_status_replicas_ready").equals(0)
    return Alert(
        name="VllmScalingSignalLost",
        query=absent(scaling_signal(watch.signal, watch.series)).unless(none_ready, on=()),
        wait="2m",
        severity="critical",
        summary="The query that scales the service returns nothing",
        meaning="Replicas are ready, and Prometheus has no series of them. The autoscaler holds, or falls back to the"
        " ScaledObject's fallback; it does not follow the load.",
        runbook=(
            "Prometheus > Status > Targets: are the replicas listed? If not, the Prometheus does not select the"
            " PodMonitor (podMonitorSelector, podMonitorNamespaceSelector).",
            "Are they down? The NetworkPolicy, the port's name, or --disable-log-stats.",
            "Run the query by hand; flyball doctor does and names the first broken link.",
        ),
    )


def _cannot_act(series: Series, autoscaler: str) -> Alert:
    condition = series.autoscaler(
        "kube_horizontalpodautoscaler_status_condition",
        autoscaler,
        condition=Regex("ScalingActive|AbleToScale"),
        status="false",
    )
    return Alert(
        name="VllmAutoscalerCannotAct",
        query=condition.equals(1),
        wait="5m",
        severity="critical",
        summary="The autoscaler's condition {{ $labels.condition }} is false: the number of replicas is frozen",
        meaning="The HorizontalPodAutoscaler cannot read its metric (ScalingActive) or cannot write the scale"
        " (AbleToScale).",
        runbook=(
            "kubectl describe hpa: the condition's message names the error.",
            "ScalingActive: is the metrics API served (kubectl get apiservice | grep metrics), does the query answer?",
            "AbleToScale: does the Deployment exist under that name, may the controller write its scale?",
        ),
    )


def _at_maximum(series: Series, autoscaler: str) -> Alert:
    desired = series.autoscaler("kube_horizontalpodautoscaler_status_desired_replicas", autoscaler)
    most = series.autoscaler("kube_horizontalpodautoscaler_spec_max_replicas", autoscaler)
    queued = total(over_time("min", series.recorded(REQUESTS_WAITING), "5m"))
    return Alert(
        name="VllmAutoscalerAtMaximum",
        query=desired.is_at_least(most).where(queued.is_above(0), on=()),
        wait="15m",
        severity="warning",
        summary="All {{ $value }} replicas that are allowed are wanted, and requests still wait",
        meaning="The load is above what scaling.max replicas can do. Latency is what gives way.",
        runbook=(
            "Is the load real (more users), or are retries and one client making it? Look at the gateway's panels.",
            "Raise scaling.max if the quota and the budget allow it; flyball plan tells what it costs.",
            "If not, shed load early: gateway.max_pending, max_num_queued_reqs.",
        ),
    )
