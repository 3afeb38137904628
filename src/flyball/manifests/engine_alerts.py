"""Alerts about the replicas: are they there, do they work, do they keep up?"""

from collections.abc import Iterator

from flyball.manifests.promql import (
    Regex,
    highest,
    increase,
    number_of,
    over_time,
    rate,
    seconds_since,
    slope,
    total,
)
from flyball.manifests.queries import KV_USAGE, RUNNING, WAITING
from flyball.manifests.records import REQUESTS_WAITING
from flyball.manifests.rules import Alert, Group
from flyball.manifests.series import ENGINE_CONTAINER, Series
from flyball.manifests.watch import Watch

REJECTIONS = "vllm:admission_rejections_total"
LEAVING_TAINTS = (
    "karpenter.sh/disrupted",
    "karpenter.sh/disruption",
    "aws-node-termination-handler/.+",
    "cloud.google.com/impending-node-termination",
    "node.kubernetes.io/unschedulable",
)
"""What is put on a node that goes: by Karpenter (v1, v1beta1), AWS' handler, GKE; the last one by every cordon."""


def engine_alerts(watch: Watch) -> Group:
    series = watch.series
    alerts = [
        *_presence(series),
        *_progress(series),
        *_pressure(series),
        *_failures(series),
        *_starts(watch),
        *_places(series),
    ]
    return Group(name=f"{series.name}-engine-alerts", rules=tuple(alerts))


def _presence(series: Series) -> Iterator[Alert]:
    ready = series.deployments("kube_deployment_status_replicas_ready")
    yield Alert(
        name="VllmNoReplicaReady",
        query=ready.equals(0),
        wait="2m",
        severity="critical",
        summary="No replica is ready: every request fails",
        meaning="The Deployment has no ready pod. The gateway answers 503.",
        runbook=(
            "kubectl describe the pods: Pending is a lack of GPUs, CrashLoopBackOff a failing start, else a slow one.",
            "A failing start: kubectl logs --previous; flyball memory says whether the model fits.",
            "After a rollout: kubectl rollout undo.",
        ),
    )
    yield Alert(
        name="VllmReplicaNotScraped",
        query=ready.is_above(total(series.engine_up())),
        wait="5m",
        severity="warning",
        summary="Some ready replicas are not scraped: the autoscaler underestimates the load",
        meaning="Fewer replicas answer Prometheus than are ready. Their work is missing in the sum that scales the"
        " service, so it runs with too few replicas.",
        runbook=(
            "Prometheus > Status > Targets: what is the error of the pods that are down?",
            "Timeouts under load: raise scrapeTimeout. Refused: the NetworkPolicy must admit Prometheus' namespace.",
        ),
    )


def _progress(series: Series) -> Iterator[Alert]:
    by = ("pod", "engine")
    busy = total(series.engine(RUNNING) + series.engine(WAITING), *by)
    steps = total(rate(series.engine("vllm:iteration_tokens_total_count"), "2m"), *by)
    yield Alert(
        name="VllmEngineWedged",
        query=busy.is_above(0).where(steps.equals(0)),
        wait="2m",
        severity="critical",
        summary="{{ $labels.pod }}: {{ $value }} requests in the engine and no step for 2 minutes",
        meaning="The engine has work and makes no step, while /health still says 200. Its requests hang.",
        runbook=(
            "Keep the evidence: kubectl logs, and py-spy dump of the engine process if it can be run.",
            "kubectl delete pod: the gateway sends what has not been answered to other replicas.",
            "On the same node again: cordon it and look for XIDs and NCCL errors.",
        ),
    )
    in_flight = total(series.gateway("envoy_cluster_upstream_rq_active"))
    tokens = total(rate(series.engine("vllm:generation_tokens_total"), "3m"))
    yield Alert(
        name="VllmServiceStalled",
        query=in_flight.is_above(0).where(tokens.equals(0)),
        wait="3m",
        severity="critical",
        summary="{{ $value }} requests are in flight and no replica generates a token",
        meaning="Seen from the gateway: requests are with replicas, and nothing comes out. It also catches an engine"
        " that hangs while it reports 0 running requests.",
        runbook=(
            "Send one request to each pod (kubectl port-forward, 1 token): which one answers?",
            "Delete the pods that do not. All of them: look at what they share (storage, network, a rollout).",
        ),
    )


def _pressure(series: Series) -> Iterator[Alert]:
    waiting = series.recorded(REQUESTS_WAITING)
    yield Alert(
        name="VllmQueueGrowing",
        query=over_time("min", waiting, "10m").is_above(0).where(slope(waiting, "10m").is_above(0)),
        wait="5m",
        severity="warning",
        summary="The queue has not been empty for 10 minutes, and it grows",
        meaning="More work arrives than the replicas do. TTFT grows with the queue until replicas are added.",
        runbook=(
            "Are more replicas on their way (desired above ready)? Then wait for their start-up.",
            "Is the autoscaler at its maximum, or unable to act? Follow those alerts.",
            "Otherwise the target per replica is above what a replica can do: flyball plan, or prove, shows it.",
        ),
    )
    preempted = total(rate(series.engine("vllm:num_preemptions_total"), "5m"), "pod")
    full = highest(over_time("max", series.engine(KV_USAGE), "5m"), "pod")
    yield Alert(
        name="VllmPreemptionThrash",
        query=preempted.is_above(0).where(full.is_above(0.95)),
        wait="10m",
        severity="warning",
        summary="{{ $labels.pod }} preempts {{ $value | humanize }} requests a second with a full KV cache",
        meaning="The KV cache is full and running requests are thrown out of it, to be computed again later: latency"
        " rises and the GPU does work twice.",
        runbook=(
            "Lower max_num_seqs to the KV cache's tokens divided by the usual length of a request (flyball memory).",
            "Or make room: --kv-cache-dtype fp8, a shorter max_model_len, more GPU memory.",
        ),
    )


def _failures(series: Series) -> Iterator[Alert]:
    if series.release.find_metric(REJECTIONS):  # from 0.32 on
        yield Alert(
            name="VllmRequestsRejected",
            query=total(rate(series.engine(REJECTIONS), "5m"), "reason").is_above(0),
            wait="5m",
            severity="warning",
            summary="Replicas reject {{ $value | humanize }} requests a second ({{ $labels.reason }})",
            meaning="The queues of replicas are at --max-num-queued-reqs or -tokens, and they answer 503. The gateway"
            " retries elsewhere; when all are full, clients get the 503.",
            runbook=(
                "Is the autoscaler at its maximum? Raise it, or accept the shedding.",
                "If not: its target must be below what a replica can hold, running and queued.",
            ),
        )
    finished = series.engine("vllm:request_success_total")
    failed = series.engine("vllm:request_success_total", finished_reason="error")
    yield Alert(
        name="VllmRequestsFail",
        query=(total(rate(failed, "5m")) / total(rate(finished, "5m"))).is_above(0.01),
        wait="5m",
        severity="critical",
        summary="{{ $value | humanizePercentage }} of the requests end with an error inside the engine",
        meaning="vLLM itself failed these requests; a retry would not have been possible once tokens had been sent.",
        runbook=(
            "kubectl logs of the engine: the traceback names the cause.",
            "After a change of the engine or the model: roll back.",
        ),
    )


def _starts(watch: Watch) -> Iterator[Alert]:
    series = watch.series
    span_m = max(30, round(4 * watch.start_up_s / 60))
    restarts = series.pods("kube_pod_container_status_restarts_total", container=ENGINE_CONTAINER)
    yield Alert(
        name="VllmReplicaCrashLooping",
        query=total(increase(restarts, f"{span_m}m"), "pod").is_above(2),
        wait="1m",
        severity="warning",
        summary=f"{{{{ $labels.pod }}}} restarted {{{{ $value | humanize }}}} times in {span_m} minutes",
        meaning="The engine ends again and again. Each start loads the model anew and holds a GPU that serves nobody.",
        runbook=(
            "kubectl logs --previous, and the container's last state: OOMKilled, a failed probe, or vLLM's own error?",
            "A failed startup probe: the start takes longer than its budget. A failed liveness probe: see the load.",
            "Memory of the GPU still in use: another process, or the old container, holds it.",
        ),
    )
    slow_s = 2 * watch.start_up_s
    age = seconds_since(series.pods("kube_pod_start_time"))
    unready = series.pods("kube_pod_status_ready", condition="false")
    yield Alert(
        name="VllmReplicaSlowStart",
        query=age.is_above(slow_s).where(unready.equals(1), on=("namespace", "pod")),
        wait="1m",
        severity="warning",
        summary="{{ $labels.pod }} has not been ready for {{ $value | humanizeDuration }};"
        f" {watch.start_up_s:.0f} s are planned",
        meaning="Scale-outs help only once the replica is ready. A start that takes twice as long as planned breaks the"
        " plan's assumptions, and the autoscaler's windows with them.",
        runbook=(
            "kubectl describe pod: pulling the image? Pre-pull it, or use a registry near the cluster.",
            "kubectl logs: loading weights (storage too slow?), compiling (is the compile cache kept?), or profiling?",
            "If this is the normal time, measure it and give it to the plan.",
        ),
    )


def _places(series: Series) -> Iterator[Alert]:
    yield Alert(
        name="VllmReplicaPending",
        query=highest(series.pods("kube_pod_status_unschedulable"), "pod").equals(1),
        wait="15m",
        severity="warning",
        summary="{{ $labels.pod }} finds no node",
        meaning="There is no free GPU, and the node autoscaler has not brought one in 15 minutes.",
        runbook=(
            "kubectl describe pod: the scheduler names what is lacking (GPUs, a toleration, a zone of the volume).",
            "Look at the node autoscaler's log: quota, or no capacity at the cloud? Allow more machine types or zones.",
        ),
    )
    leaving = series.nodes("kube_node_spec_taint", key=Regex("|".join(LEAVING_TAINTS)))
    yield Alert(
        name="VllmNodeLeaving",
        query=number_of(series.pods("kube_pod_info").where(leaving, on=("node",))).is_above(0),
        wait="0m",
        severity="warning",
        summary="{{ $value }} replicas are on nodes that are being taken away (spot reclaim, drain or consolidation)",
        meaning="The nodes have a taint that announces their end. The replicas drain; streams longer than the notice"
        " are cut.",
        runbook=(
            "One replica: nothing to do, it is replaced.",
            "Many at once: the cloud takes its spot capacity back. Raise hardware.spot.on_demand_floor, allow more"
            " instance types and zones.",
        ),
    )
