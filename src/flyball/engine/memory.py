"""What one replica takes of the machine's memory, before it is started. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from flyball.engine.finding import Engine
from flyball.engine.model import ServedModel
from flyball.engine.share import plain_number
from flyball.spec import FlagValue
from flyball.units import GIB, format_bytes

PROCESSES_BYTES = int(1.7 * GIB)
"""API server and engine core without weights and KV cache. Measured: vLLM 0.32.0 CPU build, SmolLM2-135M, float32, one
worker: 0.71 + 1.77 GiB resident, less 0.50 GiB of weights and 0.37 GiB of KV cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaMemory:
    """Bytes of host memory by purpose."""

    processes_bytes: int
    weights_bytes: int
    kv_cache_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.processes_bytes + self.weights_bytes + self.kv_cache_bytes

    def fits(self, available_bytes: int) -> int:
        """How many such replicas `available_bytes` hold."""
        return available_bytes // self.total_bytes

    def __str__(self) -> str:
        return (
            f"{format_bytes(self.total_bytes)} a replica: {format_bytes(self.weights_bytes)} of weights, "
            f"{format_bytes(self.kv_cache_bytes)} of KV cache, {format_bytes(self.processes_bytes)} of processes"
        )


def replica_memory(args: Mapping[str, FlagValue], *, engine: Engine, model: ServedModel) -> ReplicaMemory:
    """Of a replica with these flags. On a GPU, weights and KV cache are not in the host's memory."""
    if engine.device == "cuda":
        return ReplicaMemory(processes_bytes=PROCESSES_BYTES, weights_bytes=0, kv_cache_bytes=0)
    widened = args.get("dtype") == "float32" and model.stored_in in ("bfloat16", "float16")
    return ReplicaMemory(
        processes_bytes=PROCESSES_BYTES,
        weights_bytes=model.weights_bytes * (2 if widened else 1),
        kv_cache_bytes=plain_number(args, "kv_cache_memory_bytes", 0),
    )
