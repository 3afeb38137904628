"""A memory budget as one JSON object, and as a table for people."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TextIO

from flyball.perf import NOT_MODELLED, MemoryBudget, ModelArchitecture, WayOut, parameter_count
from flyball.units import GIB, format_bytes

_TERMS = (
    ("weights_bytes", "weights"),
    ("activation_bytes", "peak activation of the profiling run"),
    ("non_torch_bytes", "CUDA and NCCL"),
    ("buffer_bytes", "buffers of the model runner"),
    ("cuda_graph_bytes", "CUDA graphs"),
)


def memory_row(
    budget: MemoryBudget,
    *,
    architecture: ModelArchitecture,
    ways: Sequence[WayOut],
    flags: Mapping[str, Any],
    expected_tokens: int = 0,
) -> dict[str, Any]:
    """Every figure, in bytes of one GPU and in tokens of the whole deployment."""
    settings, kv_cache = budget.settings, budget.kv_cache
    one_request = kv_cache.layout.blocks_per_request(settings.max_model_len) * kv_cache.layout.bytes_per_block
    row: dict[str, Any] = {
        "model": budget.model,
        "accelerator": budget.accelerator,
        "vllm": budget.version,
        "fits": budget.fits,
        "parameters": parameter_count(architecture),
        "total_bytes": budget.total_bytes,
        "requested_bytes": budget.requested_bytes,
        "weights_bytes": budget.weights_bytes,
        "activation_bytes": budget.activation_bytes,
        "non_torch_bytes": budget.non_torch_bytes,
        "buffer_bytes": budget.buffer_bytes,
        "cuda_graph_bytes": budget.cuda_graph_bytes,
        "cuda_graphs_subtracted": budget.cuda_graphs_subtracted,
        "kv_cache_bytes": max(kv_cache.available_bytes, 0),
        "kv_bytes_per_token": kv_cache.bytes_per_token,
        "kv_cache_blocks": kv_cache.num_blocks,
        "kv_cache_tokens": kv_cache.tokens,
        "max_concurrency_at_max_model_len": round(kv_cache.max_concurrency, 2),
        "needed_bytes": budget.used_bytes + one_request,
        "settings": {name: value for name, value in asdict(settings).items() if value is not None},
    }
    if expected_tokens:
        row["concurrency_at_expected_lengths"] = round(kv_cache.concurrency(expected_tokens), 2)
    if not budget.fits:
        row["ways_out"] = [asdict(way) for way in ways]
    ignored = [name for name in NOT_MODELLED if flags.get(name)]
    if ignored:
        row["not_modelled"] = ignored
    return row


def print_budget(row: Mapping[str, Any], out: TextIO) -> None:
    """The budget as a subtraction, then what the rest holds or what would make it fit."""

    def line(text: str, count: float, note: str = "") -> None:
        print(f"  {text:<38}{count / GIB:>9.2f} GiB{'  ' + note if note else ''}", file=out)

    settings = row["settings"]
    share = settings["gpu_memory_utilization"]
    print(f"{row['model']} on {row['accelerator']}, vLLM {row['vllm']}, each of {_gpus(settings)}:", file=out)
    line("memory", row["total_bytes"])
    line(f"x gpu_memory_utilization {share:g}", row["requested_bytes"])
    for key, text in _TERMS:
        beside = key == "cuda_graph_bytes" and not row["cuda_graphs_subtracted"]
        if row[key]:
            line(f"{'  ' if beside else '- '}{text}", row[key], "beside the KV cache" if beside else "")
    line("= KV cache", row["kv_cache_bytes"])
    if row["fits"]:
        _print_capacity(row, out)
    else:
        _print_refusal(row, out)
    for name in row.get("not_modelled", ()):
        print(f"{name} takes or frees memory in a way that is not counted here", file=out)


def _gpus(settings: Mapping[str, Any]) -> str:
    count = settings["tensor_parallel_size"] * settings["pipeline_parallel_size"]
    return "1 GPU" if count == 1 else f"{count} GPUs"


def _print_capacity(row: Mapping[str, Any], out: TextIO) -> None:
    settings = row["settings"]
    print(
        f"{row['kv_cache_tokens']:,} tokens of {format_bytes(row['kv_bytes_per_token'])}:"
        f" {row['max_concurrency_at_max_model_len']:g} requests of max_model_len {settings['max_model_len']:,}",
        file=out,
    )
    if "concurrency_at_expected_lengths" in row:
        fitting = row["concurrency_at_expected_lengths"]
        bound = ", more than max_num_seqs" if fitting > settings["max_num_seqs"] else ""
        print(f"{fitting:g} requests of the expected lengths at once{bound}", file=out)
    if "boot_log" in row:
        error = row["boot_log"]["error_before_correction"]
        shown = "" if error is None else f"; without it the pool would be {error:+.2%} off"
        print(f"corrected by the boot log{shown}", file=out)


def _print_refusal(row: Mapping[str, Any], out: TextIO) -> None:
    print(
        f"does not fit: {format_bytes(row['needed_bytes'])} are needed for it and one request of max_model_len"
        f" {row['settings']['max_model_len']:,}, {format_bytes(row['requested_bytes'])} are there",
        file=out,
    )
    for way in row["ways_out"]:
        pool = format_bytes(way["kv_cache_bytes"])
        print(f"  --engine {way['flags']} would leave {way['kv_cache_tokens']:,} tokens ({pool} a GPU)", file=out)
    if not row["ways_out"]:
        print("  no tensor parallelism up to 16, quantisation or shorter context makes it fit", file=out)
