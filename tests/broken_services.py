"""More ways to break a sound cluster: in the service itself, in what is measured of it, and in what scales it."""

import math
from typing import Any

from broken_clusters import breaks, condition, engine_pods, warns
from flyball.cluster.doctor.facts import Answer, Sample, Target
from sound_cluster import HPA, PODS, Bench

# The Deployments and their pods.


@breaks("deployed", "not there")
def nothing_applied(bench: Bench) -> None:
    bench.remove("Deployment", "chat-engine")


@breaks("deployed", "exceeded quota")
def pods_refused(bench: Bench) -> None:
    message = 'pods "chat-engine-x" is forbidden: exceeded quota: team'
    engine = bench.live_object("Deployment", "chat-engine")
    condition(engine, "ReplicaFailure", status="True", reason="FailedCreate", message=message)


@warns("deployed", "ProgressDeadlineExceeded")
def rollout_stuck(bench: Bench) -> None:
    engine = bench.live_object("Deployment", "chat-engine")
    condition(engine, "Progressing", status="False", reason="ProgressDeadlineExceeded")


@breaks("pods", "none")
def no_pods(bench: Bench) -> None:
    for pod in engine_pods(bench):
        bench.live.remove(pod)


def _waits(pod: dict[str, Any], reason: str, message: str = "", **parts: Any) -> None:
    condition(pod, "Ready", status="False", reason="ContainersNotReady")
    waiting = {"reason": reason, "message": message}
    pod["status"]["containerStatuses"] = [{"name": "vllm", "ready": False, "state": {"waiting": waiting}, **parts}]


@breaks("pods", "not scheduled: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
def unschedulable(bench: Bench) -> None:
    message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    pod = engine_pods(bench)[0]
    pod["status"] = {"phase": "Pending"}
    condition(pod, "PodScheduled", status="False", reason="Unschedulable", message=message)


@breaks("pods", "ImagePullBackOff: Back-off pulling image")
def image_not_there(bench: Bench) -> None:
    _waits(engine_pods(bench)[0], "ImagePullBackOff", 'Back-off pulling image "vllm/vllm-openai:v9.9.9"')


@breaks("pods", 'CreateContainerConfigError: secret "api-key" not found')
def secret_missing(bench: Bench) -> None:
    _waits(engine_pods(bench)[0], "CreateContainerConfigError", 'secret "api-key" not found')


@breaks("pods", "crashes again and again, last Error (exit code 1)")
def crash_loop(bench: Bench) -> None:
    last = {"terminated": {"exitCode": 1, "reason": "Error"}}
    _waits(engine_pods(bench)[0], "CrashLoopBackOff", "back-off 5m0s", restartCount=7, lastState=last)


@breaks("pods", "last OOMKilled (exit code 137)")
def out_of_memory(bench: Bench) -> None:
    last = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    _waits(engine_pods(bench)[0], "CrashLoopBackOff", restartCount=3, lastState=last)


@breaks("pods", "FailedMount: MountVolume.SetUp failed")
def volume_not_mounted(bench: Bench) -> None:
    pod = engine_pods(bench)[0]
    _waits(pod, "ContainerCreating")
    about = {"kind": "Pod", "name": pod["metadata"]["name"]}
    message = "MountVolume.SetUp failed for volume weights: mount.nfs4: Connection timed out"
    event = {"type": "Warning", "reason": "FailedMount", "message": message}
    bench.add("Event", metadata={"name": "e2", "namespace": "llm"}, involvedObject=about, **event)


@breaks("pods", "its startup probe has not passed yet, after 2 restarts")
def startup_probe_too_short(bench: Bench) -> None:
    pod = engine_pods(bench)[0]
    condition(pod, "Ready", status="False")
    pod["status"]["containerStatuses"] = [{"name": "vllm", "restartCount": 2, "state": {"running": {}}}]


@warns("pods", "passed yet, after 1 restart")
def one_more_replica_restarts(bench: Bench) -> None:
    metadata = {**engine_pods(bench)[0]["metadata"], "name": "chat-engine-third"}
    container = {"name": "vllm", "restartCount": 1, "state": {"running": {}}}
    status = {"phase": "Running", "containerStatuses": [container]}
    bench.add("Pod", metadata=metadata, spec={"nodeName": "gpu-1"}, status=status)


@warns("pods", "its startup probe has not passed yet, since 120 s")
def still_loading(bench: Bench) -> None:
    pod = engine_pods(bench)[0]
    condition(pod, "Ready", status="False")
    pod["status"]["containerStatuses"][0].update(ready=False, started=False)
    pod["status"]["startTime"] = "2026-11-24T11:58:00Z"


@warns("pods", "Evicted: The node was low on resource: ephemeral-storage")
def evicted(bench: Bench) -> None:
    status = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: ephemeral-storage."}
    labels = engine_pods(bench)[0]["metadata"]["labels"]
    metadata = {"name": "chat-engine-old", "namespace": "llm", "labels": labels}
    bench.add("Pod", metadata=metadata, spec={"nodeName": "gpu-1"}, status=status)


@warns("pods", "terminating, 3600 s beyond its grace period")
def stuck_terminating(bench: Bench) -> None:
    labels = engine_pods(bench)[0]["metadata"]["labels"]
    metadata = {"name": "chat-engine-old", "namespace": "llm", "labels": labels}
    metadata["deletionTimestamp"] = "2026-11-24T11:00:00Z"
    bench.add("Pod", metadata=metadata, spec={"nodeName": "gpu-9"}, status={"phase": "Running"})


# Drains and writers.


@breaks("disruption", "never allowed: minAvailable 2 of 2")
def budget_blocks_drains(bench: Bench) -> None:
    budget = bench.live_object("PodDisruptionBudget")
    del budget["spec"]["maxUnavailable"]
    budget["spec"]["minAvailable"] = 2


@breaks("disruption", "PodDisruptionBudget llm/other")
def two_budgets(bench: Bench) -> None:
    spec = {**bench.live_object("PodDisruptionBudget")["spec"]}
    metadata = {"name": "other", "namespace": "llm"}
    bench.add("PodDisruptionBudget", "policy/v1", metadata=metadata, spec=spec, status={"disruptionsAllowed": 1})


@warns("disruption", "IfHealthyBudget, the default")
def budget_guards_loading_pods(bench: Bench) -> None:
    del bench.live_object("PodDisruptionBudget")["spec"]["unhealthyPodEvictionPolicy"]


@warns("disruption", "a drain may evict every replica at once")
def no_budget(bench: Bench) -> None:
    bench.remove("PodDisruptionBudget")


@warns("disruption", "allows none now")
def drain_waits(bench: Bench) -> None:
    bench.live_object("Node", "gpu-1")["spec"]["unschedulable"] = True
    bench.live_object("PodDisruptionBudget")["status"]["disruptionsAllowed"] = 0


def _writes(bench: Bench, **entry: str) -> None:
    fields = {"fieldsV1": {"f:spec": {"f:replicas": {}}}, "time": "2026-11-24T10:00:00Z"}
    bench.live_object("Deployment", "chat-engine")["metadata"]["managedFields"].append({**fields, **entry})


@breaks("writers", "argocd-controller, Apply, 2026-11-24T10:00:00Z (Argo CD)")
def gitops_writes_replicas(bench: Bench) -> None:
    metadata = bench.live_object("Deployment", "chat-engine")["metadata"]
    metadata["annotations"] = {"argocd.argoproj.io/tracking-id": "chat:apps/Deployment:llm/chat-engine"}
    _writes(bench, manager="argocd-controller", operation="Apply")


@warns("writers", "kubectl, Update of /scale")
def scaled_by_hand(bench: Bench) -> None:
    _writes(bench, manager="kubectl", operation="Update", subresource="scale")


@breaks("writers", "ScaledObject llm/chat-engine, HorizontalPodAutoscaler llm/chat-cpu")
def second_autoscaler(bench: Bench) -> None:
    spec = bench.live_object(HPA)["spec"]
    bench.add(HPA, "autoscaling/v2", metadata={"name": "chat-cpu", "namespace": "llm"}, spec=spec, status={})


# Prometheus.


@breaks("prometheus", "neither the scaler nor a Prometheus object")
def no_address(bench: Bench) -> None:
    del bench.rendered_object("ScaledObject")["spec"]["triggers"][0]["metadata"]["serverAddress"]


@breaks("scraped", "selects release=other")
def monitor_not_selected(bench: Bench) -> None:
    bench.targets = ()
    bench.live_object("Prometheus")["spec"]["podMonitorSelector"] = {"matchLabels": {"release": "other"}}


@breaks("scraped", "passes namespace llm over")
def namespace_not_selected(bench: Bench) -> None:
    bench.targets = ()
    del bench.live_object("Prometheus")["spec"]["podMonitorNamespaceSelector"]


@breaks("scraped", "context deadline exceeded")
def scrape_blocked(bench: Bench) -> None:
    error = "Get http://10.0.1.5:8000/metrics: context deadline exceeded"
    pool = "podMonitor/llm/chat-engine/0"
    bench.targets = tuple(Target(pool=pool, labels={"pod": pod}, health="down", last_error=error) for pod in PODS)


@breaks("scraped", "not there")
def monitor_missing(bench: Bench) -> None:
    bench.remove("PodMonitor")


@breaks("scraped", "no series is called vllm:num_requests_running")
def no_series(bench: Bench) -> None:
    bench.series = []


@breaks("scraped", "the label job is vllm")
def another_job_label(bench: Bench) -> None:
    for each in bench.series:
        each["job"] = "vllm"


@warns("scraped", f"none of {PODS[1]}, which is Ready")
def one_engine_not_scraped(bench: Bench) -> None:
    bench.series.pop()


@breaks("scraped", f"{PODS[0]} 2 times")
def scraped_twice(bench: Bench) -> None:
    bench.series.append({**bench.series[0], "prometheus_replica": "kps-1"})


@warns("scraped", "router-0, which are no pods")
def router_re_exports(bench: Bench) -> None:
    bench.series.append({**bench.series[0], "pod": "router-0"})


@warns("scraped", "without the label pod")
def no_pod_label(bench: Bench) -> None:
    for position, each in enumerate(bench.series):
        each.pop("pod")
        each["engine"] = str(position)


@breaks("query", "no value")
def query_empty(bench: Bench) -> None:
    bench.values = ()


@breaks("query", "2 values: KEDA ends with `returned multiple elements`")
def query_not_summed(bench: Bench) -> None:
    bench.values = tuple(Sample(labels={"pod": pod}, value=3.0) for pod in PODS)


@breaks("query", "nan")
def query_not_a_number(bench: Bench) -> None:
    bench.values = (Sample(labels={}, value=math.nan),)


@warns("dcgm", "DCGM_FI_PROF_GR_ENGINE_ACTIVE missing")
def field_off(bench: Bench) -> None:
    bench.dcgm = ["DCGM_FI_DEV_XID_ERRORS"]


@warns("dcgm", "none of them")
def exporter_not_scraped(bench: Bench) -> None:
    bench.dcgm = []


# The metrics API and the autoscaler.


@breaks("metrics-api", "not registered")
def no_metrics_api(bench: Bench) -> None:
    bench.remove("APIService", "v1beta1.external.metrics.k8s.io")


@breaks("metrics-api", "monitoring/prometheus-adapter, not KEDA")
def metrics_api_taken(bench: Bench) -> None:
    service = bench.live_object("APIService", "v1beta1.external.metrics.k8s.io")["spec"]["service"]
    service.update(name="prometheus-adapter", namespace="monitoring")


@breaks("metrics-api", "MissingEndpoints")
def metrics_api_down(bench: Bench) -> None:
    service = bench.live_object("APIService", "v1beta1.external.metrics.k8s.io")
    condition(service, "Available", status="False", reason="MissingEndpoints")


@warns("metrics-api", "the adapter took it")
def resource_metrics_taken(bench: Bench) -> None:
    bench.live_object("APIService", "v1beta1.metrics.k8s.io")["spec"]["service"]["name"] = "prometheus-adapter"


@breaks("scaled-object", "not there")
def no_scaled_object(bench: Bench) -> None:
    bench.remove("ScaledObject")


@breaks("scaled-object", "no condition at all")
def keda_does_not_watch(bench: Bench) -> None:
    bench.live_object("ScaledObject")["status"] = {}


@breaks("scaled-object", "ScaledObjectCheckFailed")
def keda_refuses(bench: Bench) -> None:
    condition(bench.live_object("ScaledObject"), "Ready", status="False", reason="ScaledObjectCheckFailed")


@breaks("scaled-object", "3 replicas, whatever the load")
def keda_falls_back(bench: Bench) -> None:
    condition(bench.live_object("ScaledObject"), "Fallback", status="True", reason="FallbackExists")


@breaks("scaled-object", "autoscaling.keda.sh/paused-replicas: KEDA leaves the replicas alone")
def keda_paused(bench: Bench) -> None:
    bench.live_object("ScaledObject")["metadata"]["annotations"] = {"autoscaling.keda.sh/paused-replicas": "2"}


@breaks("served-metric", "404")
def metric_not_served(bench: Bench) -> None:
    bench.metric = Answer(error="404: the metrics API does not know it")


@breaks("autoscaler", "there is none")
def no_autoscaler(bench: Bench) -> None:
    bench.remove(HPA)


@breaks("autoscaler", "FailedGetExternalMetric: unable to get external metric llm/s0-prometheus")
def autoscaler_cannot_read(bench: Bench) -> None:
    message = "unable to get external metric llm/s0-prometheus"
    condition(
        bench.live_object(HPA), "ScalingActive", status="False", reason="FailedGetExternalMetric", message=message
    )


@breaks("autoscaler", "<unknown>")
def unknown_value(bench: Bench) -> None:
    bench.live_object(HPA)["status"]["currentMetrics"] = [{"type": ""}]


@breaks("autoscaler", "ScalingDisabled")
def scaled_to_zero(bench: Bench) -> None:
    condition(bench.live_object(HPA), "ScalingActive", status="False", reason="ScalingDisabled")


@warns("autoscaler", "TooManyReplicas")
def at_the_maximum(bench: Bench) -> None:
    condition(bench.live_object(HPA), "ScalingLimited", status="True", reason="TooManyReplicas")


@warns("autoscaler", "2 to 8, not 2 to 4 as rendered")
def other_bounds(bench: Bench) -> None:
    bench.live_object(HPA)["spec"]["maxReplicas"] = 8


@warns("autoscaler", "none yet")
def autoscaler_is_new(bench: Bench) -> None:
    bench.live_object(HPA)["status"] = {}
