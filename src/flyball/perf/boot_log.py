"""Reads what vLLM prints about memory while it starts: the wordings of 0.10 to 0.33."""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from flyball.errors import UsageError

_NUMBER = r"(-?[\d.]+)"
_FIRST: Mapping[str, str] = {
    "weights_gib": rf"Model loading took {_NUMBER} GiB",
    "cuda_graph_gib": rf"Graph capturing finished in \d+ secs, took {_NUMBER} GiB",
    "total_gib": rf"Free memory on device(?: \S+)? \([\d.]+/{_NUMBER} GiB\)",
    "requested_gib": rf"[Dd]esired GPU memory utilization(?: is)? \([\d.]+, {_NUMBER} GiB\)",
    "activation_gib": rf"{_NUMBER} GiB for peak activation",
    "non_torch_gib": rf"{_NUMBER} GiB for non-torch memory",
    "consumed_gib": rf"Actual usage is {_NUMBER} GiB for consumed memory",
    "max_concurrency": rf"Maximum concurrency for [\d,]+ tokens per request: {_NUMBER}x",
}
_DEBUG: Mapping[str, str] = {
    "total_gib": rf"total_memory={_NUMBER} ?GiB",
    "activation_gib": rf"torch peak memory increase: {_NUMBER} ?GiB",
    "non_torch_gib": rf"non-torch forward increase memory: {_NUMBER} ?GiB",
    "requested_gib": rf"worker requested memory: {_NUMBER} ?GiB",
}
"""Lines of the DEBUG level that say the same, for a start that failed before the summary."""
_ESTIMATES = (rf"Estimated CUDA graph memory: {_NUMBER} GiB", rf"GiB \(actual\), {_NUMBER} GiB \(estimated\)")
_CONFIG = (
    ("model", r"config: model='([^']+)'"),
    ("max_model_len", r"max_seq_len=(\d+)"),
    ("tensor_parallel_size", r"tensor_parallel_size=(\d+)"),
    ("pipeline_parallel_size", r"pipeline_parallel_size=(\d+)"),
    ("dtype", r"dtype=torch\.(\w+)"),
    ("quantization", r" quantization=([\w-]+)"),
    ("enforce_eager", r"enforce_eager=(True|False)"),
    ("kv_cache_dtype", r"kv_cache_dtype=(\w+)"),
)
_FLAGS = (
    "max_num_seqs", "max_num_batched_tokens", "gpu_memory_utilization", "block_size", "enable_expert_parallel",
    "kv_cache_memory_bytes", "max_cudagraph_capture_size", "max_model_len", "tensor_parallel_size",
    "pipeline_parallel_size", "enforce_eager", "kv_cache_dtype", "dtype", "quantization",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class BootLog:
    """What one start said. Memory as printed, in GiB with two decimals; None for what it did not print."""

    version: str | None = None
    model: str | None = None
    engine: Mapping[str, Any]
    """Flags of the start, by vLLM's names; those that it did not name are at their defaults."""
    device: str = "GPU"
    """GPU or CPU."""
    kv_cache_tokens: int | None = None
    available_kv_gib: float | None = None
    """Of the rank with the least, as `kv_cache_tokens`."""
    weights_gib: float | None = None
    activation_gib: float | None = None
    non_torch_gib: float | None = None
    consumed_gib: float | None = None
    """Weights, runner's buffers and non-torch memory together (0.27 and later)."""
    cuda_graph_gib: float | None = None
    cuda_graph_estimate_gib: float | None = None
    total_gib: float | None = None
    requested_gib: float | None = None
    max_concurrency: float | None = None


_KV_CACHE = r"(?:GPU|CPU) KV cache size: [\d,]+ tokens|vailable KV cache memory"
_COLOUR = re.compile(r"\x1b\[[\d;]*[A-Za-z]")
_POD = re.compile(r"\[pod/\S+\] ")
_STARTS = (r"(?:[▀▄█]|API server) +version v?\d", r"non-default args: ", r"Initializing a V1 LLM engine")
"""What a start says first; the earlier ones are missing where the log was cut, or the banner switched off."""


def parse_boot_log(text: str, *, source: str) -> BootLog:
    """The memory lines of one start: of the last that came as far as the KV cache, where the log holds several.

    Colours and what `kubectl logs --prefix` puts before each line do no harm. UsageError, naming `source`, if no line
    is about the KV cache.
    """
    text = _last_start(_COLOUR.sub("", text))
    tokens = re.search(r"(GPU|CPU) KV cache size: ([\d,]+) tokens", text)
    # A worker's lines may come in any order; the smallest pool is the one that counts.
    available = [float(number) for number in re.findall(rf"Available KV cache memory: {_NUMBER} GiB", text)]
    needed = re.search(rf"available KV cache memory \({_NUMBER} GiB\)", text)
    if needed:
        available.append(float(needed[1]))
    if tokens is None and not available:
        raise UsageError(
            f"{source}: no vLLM start-up log: nothing in it says how large the KV cache became",
            fix="give the output of `vllm serve` from its start to `Application startup complete`",
        )
    config = _engine_config(text)
    estimates = [found for pattern in _ESTIMATES for found in re.findall(pattern, text)]
    return BootLog(
        version=_version(text),
        model=config.pop("model", None),
        engine=config,
        device=tokens[1] if tokens else "GPU",
        kv_cache_tokens=int(tokens[2].replace(",", "")) if tokens else None,
        available_kv_gib=min(available, default=None),
        cuda_graph_estimate_gib=float(estimates[0]) if estimates else None,
        **{name: _first(text, pattern, _DEBUG.get(name)) for name, pattern in _FIRST.items()},
    )


def _last_start(text: str) -> str:
    pods: dict[str, list[str]] = {}
    for line in text.splitlines():
        prefix = _POD.match(line)
        pods.setdefault(prefix[0] if prefix else "", []).append(line)
    starts = [start for lines in pods.values() for start in _split(lines)]
    return next((start for start in reversed(starts) if re.search(_KV_CACHE, start)), text)


def _split(lines: list[str]) -> list[str]:
    """At what each start says first."""
    for pattern in _STARTS:
        begins = [index for index, line in enumerate(lines) if re.search(pattern, line)]
        if begins:
            bounds = [0, *begins[1:], len(lines)]
            return ["\n".join(lines[first:last]) for first, last in pairwise(bounds)]
    return ["\n".join(lines)]


def _first(text: str, *patterns: str | None) -> float | None:
    for pattern in patterns:
        match = re.search(pattern, text) if pattern else None
        if match:
            return float(match[1])
    return None


def _version(text: str) -> str | None:
    match = re.search(r"LLM engine \(v?(\d+\.\d+[^\s)]*)\)|version (\d+\.\d+\.\d+\S*)", text)
    return (match[1] or match[2]) if match else None


def _engine_config(text: str) -> dict[str, Any]:
    """Flags as the engine resolved them, over those that the user gave."""
    given = _non_default_args(text)
    engine = {name: given[name] for name in _FLAGS if given.get(name) is not None}
    found: dict[str, Any] = {}
    line = re.search(r"LLM engine .*", text)
    for name, pattern in _CONFIG if line else ():
        match = re.search(pattern, line[0]) if line else None
        if match and match[1] != "None":
            found[name] = {"True": True, "False": False}.get(match[1], match[1])
    found.setdefault("model", given.get("model"))
    tokens = re.search(r"enabled with max_num_batched_tokens=(\d+)", text)
    seqs = re.search(r"Defaulting max_num_seqs to (\d+)", text)
    limits = {
        **({"max_num_batched_tokens": int(tokens[1])} if tokens else {}),
        **({"max_num_seqs": int(seqs[1])} if seqs else {}),
    }
    numbers = {name: int(value) for name, value in found.items() if isinstance(value, str) and value.isdigit()}
    return {**engine, **found, **numbers, **limits}


def _non_default_args(text: str) -> Mapping[str, Any]:
    match = re.search(r"non-default args: (\{.*\})", text)
    if match is None:
        return {}
    try:
        args = ast.literal_eval(match[1])
    except (ValueError, SyntaxError):  # some value is no literal: take the plain ones
        pairs = re.findall(r"'(\w+)': ('[^']*'|[\d.]+|True|False)", match[1])
        args = {name: ast.literal_eval(value) for name, value in pairs}
    return args if isinstance(args, dict) else {}
