"""Reads measured loads from what load generators and public data sets write. Text in, values out."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import sqrt
from typing import Any

from flyball.catalog import Accelerator
from flyball.errors import UsageError
from flyball.perf.architecture import ModelArchitecture
from flyball.perf.architecture_quantization import quantized
from flyball.perf.load import LoadRequest, ServedRequest
from flyball.perf.load_statistics import LoadStatistics
from flyball.perf.measured_load import MeasuredEngine, MeasuredLoad, measured_engine

_GOLDEN = (sqrt(5) - 1) / 2
_UNKNOWN_VERSION = "0.14.0"
"""For rows without a version: those runs had asynchronous scheduling switched on."""
_ROUNDS = 10
"""Requests for each client in NVIDIA's closed loops, as their load generator is usually run; the first come at once."""
_NVIDIA_PRECISION: Mapping[str, str | None] = {"": None, "fp8": "fp8", "fp4": "nvfp4", "int4": "awq"}
_NVIDIA_SYSTEMS = {"h100_sxm": "H100", "h200_sxm": "H200", "b200_sxm": "B200"}

EngineOf = Callable[[str], MeasuredEngine]


def measured_load(
    name: str, engine: MeasuredEngine, requests: Iterable[tuple[float, float, float, int, int]], concurrency: int | None
) -> MeasuredLoad:
    """From (sent, TTFT, end-to-end latency, prompt tokens, output tokens) of every request, times in seconds."""
    rows = sorted(requests)
    if not rows:
        raise UsageError(f"{name} holds no request that was answered", fix="measure again, or leave it out")
    start_s = rows[0][0]
    served = [
        ServedRequest(
            request=LoadRequest(prompt, output, None if concurrency else sent_s - start_s),
            sent_s=sent_s - start_s,
            first_token_s=sent_s - start_s + ttft_s,
            last_token_s=sent_s - start_s + e2e_s,
        )
        for sent_s, ttft_s, e2e_s, prompt, output in rows
    ]
    return MeasuredLoad(
        name=name,
        engine=engine,
        requests=tuple(each.request for each in served),
        concurrency=concurrency,
        measured=LoadStatistics.of(served),
    )


def loads_from_json_lines(text: str, *, source: str, engine_of: EngineOf) -> list[MeasuredLoad]:
    """One load a line: `boot`, `arrivals` {closed_loop_concurrency | poisson_requests_per_s}, `requests` [{start_s,
    ttft_s, e2e_s, prompt_tokens, output_tokens}]. `engine_of` knows the engine of a boot by its name.
    """
    loads = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            load = json.loads(line)
            clients = load["arrivals"].get("closed_loop_concurrency")
            rate = load["arrivals"].get("poisson_requests_per_s")
            rows = [
                (each["start_s"], each["ttft_s"], each["e2e_s"], each["prompt_tokens"], each["output_tokens"])
                for each in load["requests"]
            ]
            boot = load["boot"]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            what = f"{source}:{number}: not a measured load: {error!r}"
            raise UsageError(what, fix="each line needs boot, arrivals and requests") from None
        name = f"{boot}, {clients} clients" if clients else f"{boot}, Poisson {rate:g}/s"
        loads.append(measured_load(name, engine_of(boot), rows, clients))
    return loads


def serving_sim_load(
    meta: Mapping[str, Any],
    requests: str,
    *,
    source: str,
    architecture: Callable[[str], ModelArchitecture],
    accelerator: Callable[[str], Accelerator],
    device_name: str | None = None,
) -> MeasuredLoad:
    """LLMServingSim's `bench/examples`: `meta.json` and `requests.jsonl`, whose times are the engine's own."""
    chip = device_name or meta.get("hardware", {}).get("device_name")
    if chip is None:
        raise UsageError(f"{source} does not name its GPU", fix="say what was measured with --accelerator, like H200")
    kept = ("tensor_parallel_size", "max_num_seqs", "max_num_batched_tokens", "max_model_len", "enable_expert_parallel")
    cache = meta.get("kv_cache", {})
    flags = {name: meta["engine_kwargs"].get(name) for name in kept}
    engine = measured_engine(
        architecture(meta["model"]),
        accelerator(chip),
        version=meta["vllm_version"],
        flags={**flags, "gpu_memory_utilization": cache.get("gpu_memory_utilization", 0.9)},
        kv_cache_tokens=cache.get("num_kv_tokens"),
    )
    rows = []
    for line in requests.splitlines():
        row = json.loads(line)
        first_s, last_s = (row[name] - row["queued_ts"] for name in ("first_token_ts", "last_token_ts"))
        rows.append((row["queued_ts"], first_s, last_s, row["input_toks"], row["output_toks"]))
    return measured_load(source, engine, rows, None)


def nvidia_loads(
    text: str, *, architecture: Callable[[str], ModelArchitecture | None], accelerator: Callable[[str], Accelerator]
) -> tuple[list[MeasuredLoad], dict[str, int]]:
    """Aiconfigurator's aggregated vLLM rows: mean TTFT and TPOT of closed loops; and how many rows were left out, why.

    The rows do not say how the engine was started; flags are vLLM's defaults, so those are left out whose requests
    would fill most of the KV cache that this leaves.
    """
    loads: list[MeasuredLoad] = []
    left_out: dict[str, int] = {}
    for row in csv.DictReader(text.splitlines()):
        load = _nvidia_load(row, architecture, accelerator)
        if isinstance(load, MeasuredLoad):
            loads.append(load)
        else:
            left_out[load] = left_out.get(load, 0) + 1
    return loads, left_out


def _nvidia_load(
    row: Mapping[str, str],
    architecture: Callable[[str], ModelArchitecture | None],
    accelerator: Callable[[str], Accelerator],
) -> MeasuredLoad | str:
    clients = re.search(r"silicon_concurrency=(\d+)", row["silicon_data_source"])
    tp, experts_tp, experts_ep = (int(row[name] or 1) for name in ("tp_size", "moe_tp_size", "moe_ep_size"))
    model = architecture(row["model_path"])
    if row["system"] not in _NVIDIA_SYSTEMS:
        return f"{row['system']} is not in the catalog"
    if model is None:
        return f"{row['model_path']} is not in the built-in table"
    if clients is None or row["attention_dp_size"] not in ("", "1") or experts_tp * experts_ep not in (0, 1, tp):
        return "no concurrency given, or attention and experts split differently"
    prompt, output, concurrency = int(row["isl"]), int(row["osl"]), int(clients[1])
    version = row["backend_version"] if re.match(r"\d", row["backend_version"]) else _UNKNOWN_VERSION
    flags = {
        "tensor_parallel_size": tp,
        "enable_expert_parallel": experts_ep > 1,
        "max_model_len": prompt + output,
        "max_num_seqs": 1024,
    }
    model = quantized(model, _NVIDIA_PRECISION[row["precision"]])
    engine = measured_engine(model, accelerator(_NVIDIA_SYSTEMS[row["system"]]), version=version, flags=flags)
    if concurrency * (prompt + output / 2) > 0.8 * engine.kv_cache_tokens:
        return "its requests would fill a KV cache whose size is not given"
    ttft_s, tpot_s = (float(row[name]) / 1000 for name in ("silicon_ttft_ms", "silicon_tpot_ms"))
    if ttft_s > output * tpot_s:
        return "its requests queued for longer than they ran, under a max_num_seqs that is not given"
    precision = f" {row['precision']}" if row["precision"] else ""
    return MeasuredLoad(
        name=f"{row['model_path'].split('/')[-1]}{precision}, TP {tp}, {prompt}+{output}, {concurrency} clients",
        engine=engine,
        requests=tuple(_spread(prompt, output, max(12, _ROUNDS * concurrency))),
        concurrency=concurrency,
        measured=LoadStatistics(ttft_mean_s=ttft_s, tpot_mean_s=tpot_s),
    )


def _spread(prompt: int, output: int, requests: int) -> Iterator[LoadRequest]:
    """Lengths of 0.8 to 1 times those named, as that data's load generator draws them.

    Multiples of an irrational number's squares are as irregular as draws; its plain multiples would give a client of
    a closed loop nearly the same length in every round, so that some would never fall out of step.
    """
    for index in range(1, requests + 1):
        first, second = (0.8 + 0.2 * (step * index**2 % 1) for step in (_GOLDEN, _GOLDEN * sqrt(2)))
        yield LoadRequest(max(1, round(prompt * first)), max(1, round(output * second)))
