"""How one replica is started: its command line, environment and cores. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from flyball.engine.args import render_args, replica_args
from flyball.engine.finding import Engine
from flyball.engine.machine import Machine
from flyball.engine.model import ServedModel
from flyball.engine.share import replica_cores, replica_gpus, workers
from flyball.spec import FlagValue, ServingSpec

# The `vllm` script of the CPU build asks for the metadata of a package named vllm, which it is not.
SERVER = "vllm.entrypoints.openai.api_server"

_NOT_INHERITED = {
    "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV",  # of flyball's own environment
    "VLLM_PORT", "VLLM_HOST_IP", "PORT",        # one port for all; Kubernetes' service links set it to a URL
    "VLLM_API_KEY",                             # the gateway is the door, and the replicas listen on loopback
    "VLLM_SERVER_DEV_MODE",                     # opens endpoints that change the engine
    "VLLM_CPU_KVCACHE_SPACE",                   # overrides --kv-cache-memory-bytes
    "PROMETHEUS_MULTIPROC_DIR",                 # replicas would share their counters
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaCommand:
    """What to run for one replica."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    """Its whole environment."""
    args: Mapping[str, FlagValue]
    """The flags in `argv`, as values."""


def replica_command(
    spec: ServingSpec,
    *,
    engine: Engine,
    model: ServedModel,
    machine: Machine,
    index: int,
    port: int,
    inherited: Mapping[str, str],
) -> ReplicaCommand:
    """The command of replica `index` (from 0; it decides the cores). `inherited` is our own environment.

    Raises UsageError.
    """
    args = {**replica_args(spec, engine=engine, model=model, machine=machine), "port": port}
    env = {name: value for name, value in inherited.items() if name not in _NOT_INHERITED}
    env["PATH"] = f"{engine.python.parent}:{inherited.get('PATH', '/usr/bin:/bin')}"
    env |= {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if model.is_local:
        env |= {"HF_HUB_OFFLINE": "1"}
    if engine.cache is not None:
        env["VLLM_CACHE_ROOT"] = str(engine.cache)
    if engine.device == "cpu":
        env |= _threads(spec, args, machine=machine, index=index)
    else:
        env["CUDA_VISIBLE_DEVICES"] = ",".join(replica_gpus(args, machine=machine, index=index))
    argv = (str(engine.python), "-m", SERVER, *render_args(args, version=engine.version))
    return ReplicaCommand(argv=argv, env=env, args=args)


def _threads(spec: ServingSpec, args: Mapping[str, FlagValue], *, machine: Machine, index: int) -> dict[str, str]:
    """What gives a CPU replica one thread a core, and binds them where the cores are its own.

    Replicas that share cores are left to the kernel: bound, the third of three on two cores has half of one while the
    other core idles (measured after a step of load: ready after 93 s, and after 49 s unbound).
    """
    cores, count = replica_cores(spec, machine=machine, index=index), workers(args)
    alone = spec.scaling.max * len(cores) <= len(machine.cores)
    if count > 1:
        shares = [",".join(map(str, cores[rank::count] or cores)) for rank in range(count)]
        bind = "|".join(shares) if alone else "nobind"
        return {"OMP_NUM_THREADS": str(max(1, len(cores) // count)), "VLLM_CPU_OMP_THREADS_BIND": bind}
    # vLLM 0.32 binds a worker by starting it as a process of its own, which imports all of vLLM a third time. OpenMP's
    # own variables bind from the start, and the only worker then lives in the engine core's process: measured on two
    # cores, ready after 30 s instead of 43, with 0.7 GB less.
    threads = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "OMP_NUM_THREADS": str(len(cores))}
    if alone:
        threads |= {"OMP_PLACES": f"{{{','.join(map(str, cores))}}}", "OMP_PROC_BIND": "true"}
    return threads
