"""What the dashboard of a service shows, and what each panel is for."""

from collections.abc import Iterator

from flyball.manifests.engine_alerts import REJECTIONS
from flyball.manifests.latency import HISTOGRAMS, objectives
from flyball.manifests.objective_rules import MISSES
from flyball.manifests.panels import Line, Panel, Row
from flyball.manifests.promql import Vector, highest, lowest, percentile, rate, total
from flyball.manifests.queries import KV_USAGE
from flyball.manifests.records import (
    OUTPUT_TOKENS,
    PROMPT_TOKENS,
    REQUESTS_RUNNING,
    REQUESTS_WAITING,
    SCALING_SIGNAL,
    USD_PER_HOUR,
)
from flyball.manifests.series import Series
from flyball.manifests.watch import Watch

RECENT = "$__rate_interval"
"""Grafana's: at least four scrapes, and as long as a pixel."""
_SHARES = (0.5, 0.95, 0.99)


def dashboard_rows(watch: Watch) -> tuple[Row, ...]:
    series = watch.series
    return (
        Row(title="Objective", panels=tuple(_latency(watch))),
        Row(title="Load", panels=(*_load(series), *_work(series))),
        Row(title="Replicas and autoscaling", panels=tuple(_replicas(watch))),
        Row(title="Gateway", panels=(*_answers(series), *_behind_the_gateway(series))),
        *((Row(title="GPUs", panels=tuple(_gpus(series))),) if watch.has_gpus else ()),
        *((Row(title="Money", panels=tuple(_money(series))),) if watch.price else ()),
    )


def _latency(watch: Watch) -> Iterator[Panel]:
    series = watch.series
    bounds = {objective.metric: objective.bound_s for objective in objectives(watch.slo, series.release)}
    for key, histogram in HISTOGRAMS.items():
        yield Panel(
            title=histogram.title,
            description="Percentiles over all replicas, as the engine sees them: from the request's arrival there. The"
            " line is the objective's widest bound.",
            unit="s",
            lines=_percentiles(series.engine(f"{histogram.metric}_bucket")),
            limit=bounds.get(key),
        )
    yield Panel(
        title="Between two tokens",
        description="Inter-token latency: one value a token, where the time per output token is a mean of a request."
        " Long gaps are prefills of others or preemptions.",
        unit="s",
        lines=_percentiles(series.engine("vllm:inter_token_latency_seconds_bucket")),
    )
    yield Panel(
        title="Waiting in the engine's queue",
        description="Time from arrival to the first scheduling. Seen when a request finishes, so it lags by a request.",
        unit="s",
        lines=_percentiles(series.engine("vllm:request_queue_time_seconds_bucket")),
    )
    yield Panel(
        title="Requests that miss the objective",
        description="Share over the last hour; the alerts compare it with what the objective allows.",
        unit="percentunit",
        lines=tuple(
            Line(query=series.recorded(f"{MISSES}1h", objective=objective.name), legend=objective.name)
            for objective in objectives(watch.slo, series.release)
        ),
        limit=min(objective.budget for objective in objectives(watch.slo, series.release)),
    )


def _percentiles(buckets: Vector) -> tuple[Line, ...]:
    return tuple(
        Line(query=percentile(share, total(rate(buckets, RECENT), "le")), legend=f"p{share * 100:g}")
        for share in _SHARES
    )


def _load(series: Series) -> Iterator[Panel]:
    yield Panel(
        title="Requests in the engines",
        description="Running and waiting, over all replicas. Waiting is 0 until replicas are full.",
        unit="short",
        lines=(
            Line(query=series.recorded(REQUESTS_RUNNING), legend="running"),
            Line(query=series.recorded(REQUESTS_WAITING), legend="waiting"),
        ),
        is_stacked=True,
    )
    waiting = series.engine("vllm:num_requests_waiting_by_reason")
    yield Panel(
        title="Why requests wait",
        description="capacity: no room in the batch or the KV cache. deferred: waits for LoRA, a KV transfer or such.",
        unit="short",
        lines=(Line(query=total(waiting, "reason"), legend="{{reason}}"),),
    )
    yield Panel(
        title="KV cache in use",
        description="Of each replica, its fullest rank. At 100 % requests are preempted.",
        unit="percentunit",
        lines=(Line(query=highest(series.engine(KV_USAGE), "pod"), legend="{{pod}}"),),
        limit=0.95,
    )


def _work(series: Series) -> Iterator[Panel]:
    yield Panel(
        title="Tokens",
        description="Over all replicas. Prompt tokens include those that came from the prefix cache.",
        unit="suffix: tok/s",
        lines=(
            Line(query=series.recorded(OUTPUT_TOKENS), legend="generated"),
            Line(query=series.recorded(PROMPT_TOKENS), legend="prompt"),
        ),
    )
    preempted = series.engine("vllm:num_preemptions_total")
    yield Panel(
        title="Preemptions",
        description="Running requests that lost their KV cache and are computed again.",
        unit="ops",
        lines=(Line(query=total(rate(preempted, RECENT), "pod"), legend="{{pod}}"),),
    )
    hits, asked = series.engine("vllm:prefix_cache_hits_total"), series.engine("vllm:prefix_cache_queries_total")
    yield Panel(
        title="Prefix cache",
        description="Share of the prompt tokens that were found in the cache.",
        unit="percentunit",
        lines=(Line(query=total(rate(hits, RECENT)) / total(rate(asked, RECENT)), legend="hits"),),
    )
    finished = series.engine("vllm:request_success_total")
    yield Panel(
        title="Finished requests",
        description="By reason. abort: the client left or the replica was stopped; error: the engine failed.",
        unit="reqps",
        lines=(Line(query=total(rate(finished, RECENT), "finished_reason"), legend="{{finished_reason}}"),),
        is_stacked=True,
    )
    if series.release.find_metric(REJECTIONS):
        yield Panel(
            title="Rejected by replicas",
            description="503 because a replica's queue is at its limit. The gateway tries another one.",
            unit="reqps",
            lines=(Line(query=total(rate(series.engine(REJECTIONS), RECENT), "reason"), legend="{{reason}}"),),
        )


def _replicas(watch: Watch) -> Iterator[Panel]:
    series = watch.series
    ready = series.deployments("kube_deployment_status_replicas_ready")
    wanted = [("maximum", "spec_max_replicas"), ("desired", "status_desired_replicas")] if watch.autoscaler else []
    yield Panel(
        title="Replicas",
        description="What the autoscaler wants of those it scales, what exists and what is ready; the gap is start-up.",
        unit="short",
        lines=(
            *(
                Line(
                    query=series.autoscaler(f"kube_horizontalpodautoscaler_{metric}", str(watch.autoscaler)),
                    legend=legend,
                )
                for legend, metric in wanted
            ),
            Line(query=series.deployments("kube_deployment_status_replicas"), legend="existing"),
            Line(query=ready, legend="ready"),
        ),
    )
    yield Panel(
        title="Scaling signal",
        description=f"What the autoscaler reads, and what it would be with every ready replica at its target of"
        f" {watch.target:g}. It acts more than 10 % beyond.",
        unit="short",
        lines=(
            Line(query=series.recorded(SCALING_SIGNAL), legend="signal"),
            Line(query=ready * watch.target, legend="target"),
        ),
    )
    restarts = series.pods("kube_pod_container_status_restarts_total", container="vllm")
    yield Panel(
        title="Restarts",
        description="Of the engines, since their pods exist.",
        unit="short",
        lines=(Line(query=total(restarts, "pod"), legend="{{pod}}"),),
    )


def _answers(series: Series) -> Iterator[Panel]:
    classes = series.gateway("envoy_http_downstream_rq_xx")
    every = series.gateway("envoy_http_downstream_rq_total")
    yield Panel(
        title="Answers",
        description="By class of status, as clients get them.",
        unit="reqps",
        lines=(
            Line(
                query=total(rate(classes, RECENT), "envoy_response_code_class"),
                legend="{{envoy_response_code_class}}xx",
            ),
        ),
        is_stacked=True,
    )
    failed = series.gateway("envoy_http_downstream_rq_xx", envoy_response_code_class="5")
    retried = series.gateway("envoy_cluster_upstream_rq_retry")
    yield Panel(
        title="Errors and retries",
        description="Shares of all requests. Retries are not seen by clients, but for their TTFT.",
        unit="percentunit",
        lines=(
            Line(query=total(rate(failed, RECENT)) / total(rate(every, RECENT)), legend="5xx"),
            Line(query=total(rate(retried, RECENT)) / total(rate(every, RECENT)), legend="retries"),
        ),
    )
    refused = ("envoy_cluster_upstream_rq_active_overflow", "envoy_cluster_upstream_rq_pending_overflow")
    yield Panel(
        title="Refused and unconnected",
        description="Refused with 503 because gateway.max_pending was reached, and failed connections to replicas.",
        unit="reqps",
        lines=(
            *(Line(query=total(rate(series.gateway(name), RECENT)), legend=name.split("_rq_")[1]) for name in refused),
            Line(
                query=total(rate(series.gateway("envoy_cluster_upstream_cx_connect_fail"), RECENT)),
                legend="connect_fail",
            ),
        ),
    )


def _behind_the_gateway(series: Series) -> Iterator[Panel]:
    yield Panel(
        title="In flight",
        description="With replicas, and waiting for a connection to one.",
        unit="short",
        lines=(
            Line(query=total(series.gateway("envoy_cluster_upstream_rq_active")), legend="with replicas"),
            Line(query=total(series.gateway("envoy_cluster_upstream_rq_pending_active")), legend="no connection yet"),
        ),
    )
    yield Panel(
        title="Replicas that the gateway uses",
        description="Listed, and not ejected after failed connections; the fewest of any gateway pod.",
        unit="short",
        lines=(
            Line(query=lowest(series.gateway("envoy_cluster_membership_total")), legend="listed"),
            Line(query=lowest(series.gateway("envoy_cluster_membership_healthy")), legend="used"),
        ),
    )
    took = series.gateway("envoy_http_downstream_rq_time_bucket")
    yield Panel(
        title="Whole answers",
        description="From the first byte of the request to the last of the answer, streams included.",
        unit="ms",
        lines=_percentiles(took),
    )


def _gpus(series: Series) -> Iterator[Panel]:
    shown = (
        ("DCGM_FI_PROF_DRAM_ACTIVE", "Memory bandwidth in use", "percentunit", "What bounds decoding."),
        ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "Tensor cores in use", "percentunit", "What bounds prefill."),
        ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "Any kernel running", "percentunit", "Whether it works, not how hard."),
        ("DCGM_FI_DEV_POWER_USAGE", "Power", "watt", "Falls when the engine waits for something else."),
        ("DCGM_FI_DEV_GPU_TEMP", "Temperature", "celsius", "Throttles near its limit (about 85 to 90)."),
        ("DCGM_FI_DEV_XID_ERRORS", "Last XID", "none", "The last error code; 0 or no series: none."),
    )  # fmt: skip
    for metric, title, unit, description in shown:
        lines = (Line(query=highest(series.gpus(metric), "exported_pod", "gpu"), legend="{{exported_pod}} {{gpu}}"),)
        yield Panel(title=title, description=description, unit=unit, lines=lines)


def _money(series: Series) -> Iterator[Panel]:
    usd = series.recorded(USD_PER_HOUR)
    output, prompt = series.recorded(OUTPUT_TOKENS), series.recorded(PROMPT_TOKENS)
    yield Panel(
        title="Dollars an hour",
        description="Replicas that exist times the price that was planned with; those above the on-demand floor at the"
        " spot price. An estimate, not the bill.",
        unit="currencyUSD",
        lines=(Line(query=usd, legend="replicas"),),
        width=12,
    )
    yield Panel(
        title="Dollars a million tokens",
        description="At the current load: idle replicas make tokens dear. generated: the whole cost on the output"
        " tokens; all: spread over prompt and output.",
        unit="currencyUSD",
        lines=(
            Line(query=usd / (output * 0.0036), legend="generated"),
            Line(query=usd / ((output + prompt) * 0.0036), legend="all"),
        ),
        width=12,
    )
