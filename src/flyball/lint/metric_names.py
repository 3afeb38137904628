"""vLLM's metric names over time: which versions export a name, and what to ask for instead of one that is gone.

Where the catalogue has the release, it decides. What older versions exported and newer ones dropped stands in `GONE`,
sampled from the source distributions of 0.2.7 to 0.20.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from flyball.catalog import DEFAULT_RELEASE, RELEASES, EngineMetric, EngineRelease, release

PREFIX = "vllm:"
SAMPLE_SUFFIXES = ("_bucket", "_sum", "_count", "_created", "_total")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A metric that was dropped: the last sampled release that had it, and its successor."""

    last: tuple[int, int, int]
    instead: str


_RATE = "sum(rate(vllm:{}_total[1m]))"
_SWAP = "rate(vllm:num_preemptions_total[5m]): V1 recomputes instead of swapping"
_HIT_RATE = "vllm:prefix_cache_hits_total / vllm:prefix_cache_queries_total, both as rates"

GONE: Mapping[str, Gone] = {
    "vllm:avg_prompt_throughput_toks_per_s": Gone(last=(0, 6, 6), instead=_RATE.format("prompt_tokens")),
    "vllm:avg_generation_throughput_toks_per_s": Gone(last=(0, 6, 6), instead=_RATE.format("generation_tokens")),
    "vllm:gpu_cache_usage_perc": Gone(last=(0, 11, 0), instead="vllm:kv_cache_usage_perc"),
    "vllm:cpu_cache_usage_perc": Gone(last=(0, 9, 0), instead=_SWAP),
    "vllm:num_requests_swapped": Gone(last=(0, 9, 0), instead=_SWAP),
    "vllm:cpu_prefix_cache_hit_rate": Gone(last=(0, 9, 0), instead=_HIT_RATE),
    "vllm:gpu_prefix_cache_hit_rate": Gone(last=(0, 9, 0), instead=_HIT_RATE),
    "vllm:gpu_prefix_cache_hits": Gone(last=(0, 11, 0), instead="vllm:prefix_cache_hits_total"),
    "vllm:gpu_prefix_cache_queries": Gone(last=(0, 11, 0), instead="vllm:prefix_cache_queries_total"),
    "vllm:time_per_output_token_seconds": Gone(
        last=(0, 14, 0), instead="vllm:inter_token_latency_seconds or vllm:request_time_per_output_token_seconds"
    ),
    "vllm:time_in_queue_requests": Gone(last=(0, 9, 0), instead="vllm:request_queue_time_seconds"),
    "vllm:model_forward_time_milliseconds": Gone(last=(0, 9, 0), instead="vllm:request_inference_time_seconds"),
    "vllm:model_execute_time_milliseconds": Gone(last=(0, 9, 0), instead="vllm:request_inference_time_seconds"),
    "vllm:prompt_tokens_recomputed": Gone(last=(0, 19, 0), instead="vllm:num_preemptions_total"),
}

NEVER: Mapping[str, str] = {
    "vllm:avg_generation_throughput_toks_per_sec": _RATE.format("generation_tokens"),
    "vllm:avg_prompt_throughput_toks_per_sec": _RATE.format("prompt_tokens"),
    "vllm:cpu_cache_usage": _SWAP,
    "vllm:gpu_cache_usage": "vllm:kv_cache_usage_perc",
    "vllm:num_requests_pending": "vllm:num_requests_waiting",
    "vllm:request_failure_total": 'vllm:request_success_total{finished_reason="error"}',
    "vllm:avg_batch_size": "vllm:num_requests_running",
}
"""Names that guides and templates use and no release had."""

ROUTERS = frozenset(
    f"vllm:{name}"
    for name in (
        "current_qps", "avg_decoding_length", "num_prefill_requests", "num_decoding_requests", "healthy_pods_total",
        "avg_latency", "avg_itl", "num_incoming_requests_total", "routing_decisions_total", "input_tokens_total",
        "output_tokens_total", "request_errors_total", "request_latency_seconds", "request_latency_seconds_bucket",
        "request_latency_seconds_sum", "request_latency_seconds_count",
    )
)  # fmt: skip
"""Names that vLLM's production-stack router exports under vLLM's prefix."""


def number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.removeprefix("v").split("."))


def reference_release(version: str) -> EngineRelease:
    """The release itself, or the newest known for one that the catalogue lacks."""
    return release(version if version in RELEASES else DEFAULT_RELEASE)


def base_name(name: str) -> str:
    """Without the suffix of a sample or of a counter."""
    for suffix in SAMPLE_SUFFIXES:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def metric_of(version: str, name: str) -> EngineMetric | None:
    """What a name means in a version; None if it exports no such thing."""
    known = reference_release(version)
    return known.find_metric(name) or known.find_metric(f"{name}_total")


def is_exported(version: str, name: str) -> bool:
    """Whether a version exports a name. Of a version that the catalogue lacks, only what is known to be gone is not."""
    if version in RELEASES:
        return release(version).find_metric(name) is not None or name in ROUTERS
    gone = GONE.get(name) or GONE.get(base_name(name))
    if gone:
        return number(version) <= gone.last
    return not is_misspelt(name)


def is_misspelt(name: str) -> bool:
    """Whether no known release exports the name and none is known to have done so."""
    known = name in ROUTERS or name in GONE or base_name(name) in GONE
    return not known and not any(release(version).find_metric(name) for version in RELEASES)


def instead_of(name: str, version: str) -> str:
    """What to ask for; a phrase for a fix."""
    wanted = PREFIX + name.removeprefix(PREFIX).removeprefix("vllm_")
    dropped = GONE.get(wanted) or GONE.get(base_name(wanted))
    if dropped or wanted in NEVER:
        return f"ask for {dropped.instead if dropped else NEVER[wanted]}"
    known = reference_release(version)
    if known.find_metric(wanted) or known.find_metric(f"{wanted}_total"):
        return f"ask for {wanted if known.find_metric(wanted) else wanted + '_total'}"
    having = [each for each in RELEASES if release(each).find_metric(name)]
    if having:
        return f"vLLM {having[0]} to {having[-1]} have it" if len(having) > 1 else f"only vLLM {having[0]} has it"
    close = get_close_matches(base_name(wanted), known.metrics, n=1, cutoff=0.6)
    return (
        f"did you mean {close[0]}?"
        if close
        else "ask for a metric of https://docs.vllm.ai/en/latest/usage/metrics.html"
    )
