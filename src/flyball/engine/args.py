"""A replica's vLLM flags: what spec and machine imply, what the user may not set, how they are written. Pure."""

import math
from collections.abc import Mapping

from flyball.catalog import DEFAULT_RELEASE, RELEASES, EngineRelease, release
from flyball.engine.finding import Engine
from flyball.engine.machine import Machine
from flyball.engine.model import ServedModel
from flyball.engine.share import plain_number, replica_cores, require_gpus, workers
from flyball.errors import UsageError
from flyball.spec import FlagValue, ServingSpec

EngineArgs = Mapping[str, FlagValue]
"""vLLM's flags by name, with underscores."""

SMALL_MODEL_LEN = 2048
"""Context of the small model unless the spec says otherwise: its own 8,192 tokens need 0.35 GiB of float32 KV cache."""

CPU_MAX_NUM_SEQS = 128
"""A worker's, where nothing is said, in vLLM 0.32.0's CPU build."""

_SET_ELSEWHERE = {
    "host": "each replica listens on the loopback interface; gateway.port is the door",
    "port": "flyball gives each replica a port; gateway.port is the door",
    "uds": "each replica listens on the loopback interface; gateway.port is the door",
    "api_key": "use gateway.api_key_env: the gateway checks the key",
    "model": "use model.id",
    "model_tag": "use model.id",
    "served_model_name": "use model.served_name",
    "revision": "use model.revision",
    "quantization": "use model.quantization",
    "shutdown_timeout": "use local.drain_timeout",
    "disable_log_stats": "leave it out: scaling reads the metrics that it takes away",
}


def replica_args(spec: ServingSpec, *, engine: Engine, model: ServedModel, machine: Machine) -> dict[str, FlagValue]:
    """The flags of every replica of `spec`, less its port.

    Raises UsageError for a flag that this vLLM lacks, and for more cores or GPUs than there are.
    """
    check_args(spec, engine=engine)
    args: dict[str, FlagValue] = {
        "model": model.source,
        "served_model_name": spec.model.served_name or spec.model.id,
        "host": "127.0.0.1",
        "shutdown_timeout": math.ceil(spec.local.drain_timeout),
        "disable_access_log_for_endpoints": "/health,/metrics",
    }
    if spec.model.revision and not model.is_local:
        args["revision"] = spec.model.revision
    if spec.model.quantization:
        args["quantization"] = spec.model.quantization
    if model.is_small:
        args["max_model_len"] = SMALL_MODEL_LEN
    if engine.device == "cpu":
        args["enforce_eager"] = True  # torch.compile takes four minutes where eager mode starts in half of one
        # Not VLLM_CPU_KVCACHE_SPACE, which overrides this flag and reads whole GiB only.
        args["kv_cache_memory_bytes"] = spec.local.kv_cache
        # The small model answers differently where rounding differs; in float32 all CPUs give the same answer.
        if model.is_small or not machine.has_bf16:
            args["dtype"] = "float32"
    args |= spec.engine
    if engine.device == "cpu":
        replica_cores(spec, machine=machine, index=0)
    else:
        require_gpus(spec, args, machine=machine)
    return args


def replica_max_num_seqs(args: EngineArgs, *, engine: Engine, machine: Machine) -> int:
    """Requests that a replica with these flags runs at once (`EngineArgs.get_batch_defaults`); the rest waits."""
    if "max_num_seqs" in args:
        return plain_number(args, "max_num_seqs", 0)
    if engine.device == "cpu":
        return CPU_MAX_NUM_SEQS * workers(args)
    gpu = machine.gpus[0]
    return _release(engine.version).batch_defaults(memory_bytes=gpu.memory_bytes, device_name=gpu.name).max_num_seqs


def check_args(spec: ServingSpec, *, engine: Engine) -> None:
    """UsageError if `spec.engine` has a flag that flyball sets itself, or one that this vLLM refuses."""
    for name in spec.engine:
        if name in _SET_ELSEWHERE:
            raise UsageError(f"engine.{name} cannot be set for a local fleet", fix=_SET_ELSEWHERE[name])
    if engine.version in RELEASES:
        release(engine.version).check_args(spec.engine)


def render_args(args: EngineArgs, *, version: str) -> list[str]:
    """As on the command line; `--name=value`, since a value may begin with a dash."""
    known = _release(version)
    return [word for name, value in args.items() for word in _render(name, value, known)]


def _release(version: str) -> EngineRelease:
    return release(version if version in RELEASES else DEFAULT_RELEASE)


def _render(name: str, value: FlagValue, known: EngineRelease) -> list[str]:
    option = f"--{name.replace('_', '-')}"
    if value is True:
        return [option]
    if value is False:
        flag = known.find_flag(name)
        return list(flag.off[:1]) if flag else [f"--no-{name.replace('_', '-')}"]
    return [f"{option}={value}"]
