"""The engine flags that memory depends on, under vLLM's names, resolved against the defaults of its version."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flyball.errors import UsageError
from flyball.perf.architecture import DType, ModelArchitecture
from flyball.perf.architecture_config import dtype_named
from flyball.perf.memory_device import DeviceMemory
from flyball.perf.memory_release import default_batch, default_gpu_memory_utilization

KV_DTYPE_BYTES: Mapping[str, int] = {
    "bfloat16": 2, "float16": 2, "half": 2, "float32": 4,
    "fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1, "fp8_inc": 1,
}  # fmt: skip

NOT_MODELLED = ("speculative_config", "cpu_offload_gb", "enable_lora", "decode_context_parallel_size", "enable_eplb")
"""Flags that take memory too, or free some, in ways that this model does not follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySettings:
    """Flags of `vllm serve`, every default resolved."""

    max_model_len: int
    max_num_seqs: int
    max_num_batched_tokens: int
    gpu_memory_utilization: float
    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    enable_expert_parallel: bool = False
    enforce_eager: bool = False
    dtype: DType | None = None
    """None: the checkpoint's."""
    kv_cache_dtype: str = "auto"
    block_size: int = 16
    kv_cache_memory_bytes: int | None = None
    """Given, the KV cache has this size whatever the rest takes."""
    quantization: str | None = None
    max_cudagraph_capture_size: int | None = None

    def kv_element_bytes(self, model_bytes: int) -> int:
        return model_bytes if self.kv_cache_dtype == "auto" else KV_DTYPE_BYTES[self.kv_cache_dtype]


def memory_settings(
    engine: Mapping[str, Any], *, architecture: ModelArchitecture, device: DeviceMemory, version: str
) -> MemorySettings:
    """Settings from flags by their names with underscores; what `engine` does not name is the version's default.

    UsageError for a value of the wrong kind, and for a context that the model cannot have.
    """
    given = {name: value for name, value in engine.items() if value is not None}
    batch = default_batch(version, memory_bytes=device.total_bytes, device_name=device.device_name)
    max_model_len = _max_model_len(given, architecture)
    max_num_seqs = _integer(given, "max_num_seqs", batch.max_num_seqs)
    # As in `EngineArgs`: a default is cut to what the other limit allows, a given value is taken as it is.
    tokens = min(batch.max_num_batched_tokens, max_num_seqs * max_model_len)
    max_num_batched_tokens = _integer(given, "max_num_batched_tokens", tokens)
    if "max_num_seqs" not in given:
        max_num_seqs = min(max_num_seqs, max_num_batched_tokens)
    kv_dtype = str(given.get("kv_cache_dtype", "auto"))
    if kv_dtype not in ("auto", *KV_DTYPE_BYTES):
        what = f"engine.kv_cache_dtype: {kv_dtype!r} is not modelled"
        raise UsageError(what, fix=f"one of auto, {', '.join(KV_DTYPE_BYTES)}")
    dtype = given.get("dtype", "auto")
    return MemorySettings(
        max_model_len=max_model_len,
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=max_num_batched_tokens,
        gpu_memory_utilization=_share(given, default_gpu_memory_utilization(version)),
        tensor_parallel_size=_integer(given, "tensor_parallel_size", 1),
        pipeline_parallel_size=_integer(given, "pipeline_parallel_size", 1),
        enable_expert_parallel=bool(given.get("enable_expert_parallel", False)),
        enforce_eager=bool(given.get("enforce_eager", False)),
        dtype=None if dtype == "auto" else dtype_named(str(dtype)),
        kv_cache_dtype=kv_dtype,
        block_size=_integer(given, "block_size", 16),
        kv_cache_memory_bytes=_optional(given, "kv_cache_memory_bytes"),
        quantization=given.get("quantization"),
        max_cudagraph_capture_size=_optional(given, "max_cudagraph_capture_size"),
    )


def _max_model_len(given: Mapping[str, Any], architecture: ModelArchitecture) -> int:
    wanted = given.get("max_model_len")
    if wanted in (None, "auto", -1, "-1"):
        return architecture.max_model_len
    length = _integer(given, "max_model_len", 0)
    if length > architecture.longest_model_len:
        raise UsageError(
            f"engine.max_model_len: {architecture.name} cannot have {length} tokens of context",
            fix=f"at most {architecture.longest_model_len}",
        )
    return length


def _integer(given: Mapping[str, Any], name: str, default: int) -> int:
    """An integer of at least 1, with vLLM's suffixes: 8k is 8,000 and 8K is 8,192."""
    value = given.get(name, default)
    text = str(value)
    scale = {"k": 1000, "K": 1024, "m": 10**6, "M": 2**20, "g": 10**9, "G": 2**30}.get(text[-1:], 1)
    try:
        number = int(float(text[:-1]) * scale) if scale > 1 else int(text)
    except ValueError:
        number = 0
    if number < 1 or isinstance(value, bool):
        raise UsageError(f"engine.{name}: {value!r} is not a whole number of at least 1", fix="for example 256")
    return number


def _optional(given: Mapping[str, Any], name: str) -> int | None:
    return _integer(given, name, 0) if name in given else None


def _share(given: Mapping[str, Any], default: float) -> float:
    value = given.get("gpu_memory_utilization", default)
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = 0.0
    if not 0 < share <= 1:
        what = f"engine.gpu_memory_utilization: {value!r} is not a share of the memory"
        raise UsageError(what, fix="more than 0, at most 1, for example 0.9")
    return share
