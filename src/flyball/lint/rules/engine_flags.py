"""Rules about vLLM's flags: what this version takes, and what breaks the fleet around it."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from flyball.catalog import RELEASES, EngineFlag, EngineRelease, release
from flyball.lint.command import Flag
from flyball.lint.engine import Engine
from flyball.lint.finding import Severity
from flyball.lint.rule import Hit, Rule, engine_rule, serving_rule

HIGH_UTILIZATION = 0.95
_OPTIMIZATION = re.compile(r"-O(?:\d|\..*)?")
"""`-O3`, `-O 3`, `-O.mode`: vLLM rewrites them to --compilation-config before its parser sees them."""
_FLAGS_DOC = "https://docs.vllm.ai/en/latest/configuration/engine_args.html"


@engine_rule(
    "error",
    finds="a flag that this vLLM version does not have",
    why="vLLM ends with a usage error before it loads anything, and the pod restarts for ever",
    reference=f"{_FLAGS_DOC}; the flags of each release, read from its own parser",
)
def unknown_flag(engine: Engine) -> Iterator[Hit]:
    known = engine.release
    for flag in engine.flags.values() if known else ():
        if known and not known.has_flag(flag.option) and not _OPTIMIZATION.fullmatch(flag.option):
            says = f"vLLM {known.version} has no {flag.option}"
            yield Hit(at=flag.node, says=says, fix=instead_of(flag, known), evidence=flag.written)


def instead_of(flag: Flag, known: EngineRelease) -> str:
    close = get_close_matches(flag.name, known.flags, n=1, cutoff=0.75)
    having = [version for version in RELEASES if release(version).has_flag(flag.option)]
    if having:
        return f"leave it out, or run vLLM {having[0]} to {having[-1]}" if having[0] != having[-1] else "leave it out"
    return f"did you mean {known.flags[close[0]].option}?" if close else "leave it out"


@engine_rule(
    "error",
    finds="a value that vLLM's parser refuses",
    why="vLLM ends with a usage error before it loads anything, and the pod restarts for ever",
    reference=_FLAGS_DOC,
)
def flag_value(engine: Engine) -> Iterator[Hit]:
    for flag in engine.flags.values() if engine.release else ():
        known = engine.nearest_release.find_flag(flag.option)
        if known is None or not flag.is_known or "." in flag.option.lstrip("-"):
            continue
        expected = refused(known, flag)
        if expected:
            says = f"{flag.option} {flag.text}: vLLM takes {expected}" if flag.values else f"{flag.option} has no value"
            yield Hit(at=flag.node, says=says, fix=f"give {expected}", evidence=flag.written)


_RANGES: Mapping[str, tuple[float, float, str]] = {
    "gpu_memory_utilization": (1e-9, 1.0, "more than 0 and at most 1"),
    "tensor_parallel_size": (1, 10_000, "at least 1"),
    "pipeline_parallel_size": (1, 10_000, "at least 1"),
    "max_num_seqs": (1, 1e9, "at least 1"),
    "max_model_len": (-1, 1e12, "at least 1, or -1 for what fits"),
}


def refused(known: EngineFlag, flag: Flag) -> str:
    """What the flag takes, if the value is something else; empty if it will do."""
    if known.kind == "boolean":
        return ""
    if not flag.values:
        return "" if known.kind == "list" else f"a value of the kind {known.kind}"
    if known.choices and flag.text not in known.choices:
        return f"one of {', '.join(known.choices)}"
    if known.kind in ("integer", "number") and flag.number is None and flag.text != "auto":
        return "a number"
    least, most, phrase = _RANGES.get(known.name, (-1e30, 1e30, ""))
    return phrase if flag.number is not None and not least <= flag.number <= most else ""


@engine_rule(
    "warning",
    finds="--gpu-memory-utilization above 0.95",
    why="CUDA context, NCCL and fragmentation need the rest: the engine dies of out-of-memory under load",
    reference="vllm-project/vllm#42017; vLLM's default is 0.92",
)
def gpu_memory_utilization_high(engine: Engine) -> Iterator[Hit]:
    flag = engine.flag("gpu_memory_utilization")
    if flag and flag.number is not None and HIGH_UTILIZATION < flag.number <= 1:
        says = f"--gpu-memory-utilization {flag.text} leaves {1 - flag.number:.0%} of the memory to everything else"
        yield Hit(at=flag.node, says=says, fix="0.88 to 0.92", evidence=flag.text)


@engine_rule(
    "error",
    finds="more ranks than GPUs",
    why="vLLM ends at once: the world size is larger than the number of devices it sees",
    reference="https://docs.vllm.ai/en/latest/serving/parallelism_scaling.html",
)
def more_ranks_than_gpus(engine: Engine) -> Iterator[Hit]:
    gpus, ranks = engine.devices.number, local_ranks(engine)
    flag = engine.flag("tensor_parallel_size") or engine.flag("pipeline_parallel_size")
    if gpus is not None and flag and ranks > gpus and not spans_pods(engine):
        says = f"{_ranks_written(engine)} = {ranks} ranks on {gpus:g} GPU{'s' if gpus > 1 else ''}"
        yield Hit(at=flag.node, says=says, fix=f"limits nvidia.com/gpu: {ranks}", evidence=flag.written)


@engine_rule(
    "warning",
    finds="more GPUs than ranks",
    why="the other GPUs are paid for and do nothing",
    reference="https://docs.vllm.ai/en/latest/serving/parallelism_scaling.html",
)
def idle_gpus(engine: Engine) -> Iterator[Hit]:
    gpus, ranks = engine.devices.number, local_ranks(engine)
    parallel = [flag for name, flag in engine.flags.items() if name.endswith("parallel_size")]
    if gpus is None or not engine.has_all_flags or spans_pods(engine) or not all(flag.is_known for flag in parallel):
        return
    if ranks < gpus and engine.devices.path[-1] == "nvidia.com/gpu":
        says = f"{gpus:g} GPUs for {_ranks_written(engine)} = {ranks} rank{'s' if ranks > 1 else ''}"
        yield Hit(at=engine.devices, says=says, fix=f"--tensor-parallel-size {gpus:g}, or fewer GPUs")


def local_ranks(engine: Engine) -> int:
    """GPUs that the processes of this pod use."""
    data_parallel = int(engine.number("data_parallel_size_local") or engine.count("data_parallel_size"))
    return engine.count("tensor_parallel_size") * engine.count("pipeline_parallel_size") * data_parallel


def spans_pods(engine: Engine) -> bool:
    """Whether several pods make one engine, so that its ranks are not all here."""
    multi_node = ("nnodes", "node_rank", "data_parallel_address", "data_parallel_backend", "headless", "master_addr")
    backend = engine.flag("distributed_executor_backend")
    ray = backend is not None and backend.text == "ray"
    return engine.object.kind == "LeaderWorkerSet" or ray or any(name in engine.flags for name in multi_node)


def _ranks_written(engine: Engine) -> str:
    sizes = (("tensor", engine.count("tensor_parallel_size")), ("pipeline", engine.count("pipeline_parallel_size")))
    data = int(engine.number("data_parallel_size_local") or engine.count("data_parallel_size"))
    parts = [f"{name} {size}" for name, size in (*sizes, ("data", data)) if size > 1]
    return " x ".join(parts) or "tensor 1"


@engine_rule(
    "warning",
    finds="vLLM started as a Python module",
    why="the module is deprecated and will go; `vllm serve` takes the model as its first argument",
    reference="measured on vLLM 0.32: a deprecation warning in the log",
)
def deprecated_entrypoint(engine: Engine) -> Iterator[Hit]:
    if engine.command.deprecated_module:
        fix = "command: [vllm, serve], or no command at all with vLLM's image"
        says = f"python -m {engine.command.deprecated_module} is deprecated"
        yield Hit(at=engine.command.node, says=says, fix=fix, evidence=engine.command.deprecated_module)


@serving_rule(
    "error",
    finds="--disable-log-stats on an engine that is scaled or watched by its metrics",
    why="it takes away every vllm: metric, so the autoscaler sees nothing",
    reference="vllm/v1/metrics/loggers.py",
)
def log_stats_disabled(engine: Engine) -> Iterator[Hit]:
    flag = engine.flag("disable_log_stats")
    if flag and flag.is_on:
        scaled = ", ".join(f"{each.object.kind} {each.object.name}" for each in engine.scalers)
        says = f"no vllm: metrics for {scaled}" if scaled else "the engine exports no vllm: metrics"
        severity: Severity | None = None if scaled else "warning"
        yield Hit(at=flag.node, says=says, fix=f"remove {flag.option}", evidence=flag.written, severity=severity)


@serving_rule(
    "warning",
    finds="--enforce-eager on a GPU",
    why="without CUDA graphs and compilation each decode step waits for the CPU; tokens come noticeably slower",
    reference="https://docs.vllm.ai/en/latest/configuration/conserving_memory.html",
)
def enforce_eager(engine: Engine) -> Iterator[Hit]:
    flag = engine.flag("enforce_eager")
    if flag and flag.is_on and not engine.runs_on_cpu:
        fix = "remove it; for a faster start keep the compile cache on a volume or use -O1"
        yield Hit(at=flag.node, says="--enforce-eager trades every token's latency for a faster start", fix=fix)


@serving_rule(
    "warning",
    finds="PROMETHEUS_MULTIPROC_DIR set by hand",
    why="vLLM makes and cleans this folder itself; a fixed one keeps the numbers of processes that are gone",
    reference="https://docs.vllm.ai/en/latest/usage/metrics.html; vllm-project/vllm#22227",
)
def prometheus_multiproc_dir(engine: Engine) -> Iterator[Hit]:
    entry = engine.env.get("PROMETHEUS_MULTIPROC_DIR")
    if entry:
        says = f"PROMETHEUS_MULTIPROC_DIR={entry.at('value').text}"
        yield Hit(at=entry, says=says, fix="remove it", evidence=entry.at("value").text)


@serving_rule(
    "info",
    finds="an engine with an unlimited queue",
    why="in an overload every request waits its full time-out, and all of them miss the objective; a cap answers 503",
    reference="vllm/config/scheduler.py; vllm:admission_rejections_total",
)
def unbounded_queue(engine: Engine) -> Iterator[Hit]:
    known = engine.release
    if (
        known
        and known.has_flag("max_num_queued_reqs")
        and engine.has_all_flags
        and not any(name in engine.flags for name in ("max_num_queued_reqs", "max_num_queued_tokens"))
    ):
        fix = "add --max-num-queued-reqs, about as many as finish within the TTFT objective"
        yield Hit(at=engine.flag_node, says="--max-num-queued-reqs is not set", fix=fix, evidence="(missing)")


RULES: tuple[Rule, ...] = (
    unknown_flag,
    flag_value,
    gpu_memory_utilization_high,
    more_ranks_than_gpus,
    idle_gpus,
    deprecated_entrypoint,
    log_stats_disabled,
    enforce_eager,
    prometheus_multiproc_dir,
    unbounded_queue,
)
