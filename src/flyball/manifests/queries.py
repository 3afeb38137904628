"""The queries that decide: what the autoscaler asks. Each in one place, scoped to the service and summed."""

from typing import Literal

from flyball.catalog import EngineRelease
from flyball.manifests.promql import Vector, clamp, highest, over_time, total
from flyball.manifests.series import ENGINE_CONTAINER, Series
from flyball.spec.autoscaling import Signal

RUNNING, WAITING, KV_USAGE = "vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"
SCRAPE_INTERVAL_S = 15
BRIDGED_S = 40
"""Two scrapes and some slack: how long a replica's last value stands in for a scrape that failed."""


def scaling_query(
    signal: Signal, *, name: str, namespace: str, release: EngineRelease, done_elsewhere: float = 0.0
) -> str:
    """The signal of the whole service, one value: the sum over its replicas and their data-parallel ranks.

    For an External metric of type AverageValue, as KEDA creates: desired = ceil(value / target), whatever runs or is
    ready. So the sum is right during a rollout and while pods load: a pod that loads adds nothing and is not counted
    on either, and work that moves from an old pod to a new one stays in the sum.

    - `last_over_time` over two scrapes: a scrape that fails marks the replica's series stale at once, and its whole
      load would leave the sum, most likely while it is so busy that /metrics is late. A longer window would count a
      replica that died together with the replica that took over its requests. Not `max_over_time`: the sum of each
      replica's peak is more than the peak of the sum, and how long to believe a peak is the business of the HPA's
      stabilization window.
    - Nothing stands in for an empty result (`or vector(0)`): when Prometheus has lost every target, the query returns
      nothing, KEDA reports an error (`ignoreNullValues: "false"`) and falls back. A zero would scale the service down.

    `done_elsewhere` is how much of the signal belongs to replicas that this autoscaler does not count: those of a fixed
    floor, times the target. It is taken off, or the sum would order as many replicas as if the floor did nothing.

    Raises UsageError if the release lacks a metric.
    """
    whole = scaling_signal(signal, Series(name=name, namespace=namespace, release=release))
    return str(clamp(whole - done_elsewhere, low=0) if done_elsewhere else whole)


def scaling_signal(signal: Signal, series: Series) -> Vector:
    """`scaling_query` for what else is built on it."""
    return total(_per_replica(signal, series))


def _per_replica(signal: Signal, series: Series) -> Vector:
    """By replica and rank; of the KV cache by replica, the fullest rank's: where it is full, requests are preempted."""
    match signal:
        case "in_system":
            return bridged(series.engine(RUNNING)) + bridged(series.engine(WAITING))
        case "waiting":
            return bridged(series.engine(WAITING))
        case "kv":
            return highest(bridged(series.engine(KV_USAGE)), "pod")


def bridged(gauge: Vector) -> Vector:
    """The last value, where at most one scrape failed since; see `scaling_query`."""
    return over_time("last", gauge, f"{BRIDGED_S}s")


ADAPTER_METRICS: dict[Signal, str] = {
    "in_system": "vllm_requests_in_system",
    "waiting": "vllm_requests_waiting",
    "kv": "vllm_kv_cache_usage",
}
"""What a HorizontalPodAutoscaler calls the signal when the Prometheus Adapter serves it, as a Pods metric."""


def adapter_rule(signal: Signal, *, release: EngineRelease) -> dict[str, object]:
    """A rule of the Prometheus Adapter (under `rules.custom` of its chart): the signal of each pod.

    The rule serves every service in the cluster: `<<.LabelMatchers>>` is the namespace and the pods of the HPA that
    asks, so it need not and must not name one. The container's name keeps out series that another scrape job has of
    the same pods and would be added twice. The HPA averages over the pods itself, so ranks are summed, not averaged.

    Raises UsageError if the release lacks a metric.
    """
    operator, metrics = _ADAPTER_SHAPES[signal]
    for metric in metrics:
        release.requires_metric(metric)
    terms = " + ".join(f'{metric}{{<<.LabelMatchers>>,container="{ENGINE_CONTAINER}"}}' for metric in metrics)
    return {
        "seriesQuery": f'{metrics[0]}{{namespace!="",pod!="",container="{ENGINE_CONTAINER}"}}',
        "resources": {"overrides": {"namespace": {"resource": "namespace"}, "pod": {"resource": "pod"}}},
        "name": {"matches": f"^{metrics[0]}$", "as": ADAPTER_METRICS[signal]},
        "metricsQuery": f"{operator} by (<<.GroupBy>>) ({terms})",
    }


_ADAPTER_SHAPES: dict[Signal, tuple[Literal["sum", "max"], tuple[str, ...]]] = {
    "in_system": ("sum", (RUNNING, WAITING)),
    "waiting": ("sum", (WAITING,)),
    "kv": ("max", (KV_USAGE,)),
}
