"""The memory budget of one model on one kind of GPU, computed as vLLM computes it when it starts.

    KV cache = ceil(total x gpu_memory_utilization)
             - weights - peak of the activations in a profiling run - what CUDA and NCCL allocate themselves
             - (from 0.27) the buffers of the model runner - (from 0.20 or 0.29) an estimate of the CUDA graphs

Source: `determine_available_memory` of `v1/worker/gpu_worker.py` and `memory_profiling` of `utils/mem_utils.py`, 0.10
to 0.32. `max_model_len` appears nowhere: the cache is not reserved by request.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from flyball.errors import UsageError
from flyball.perf.architecture import ModelArchitecture
from flyball.perf.architecture_quantization import quantized
from flyball.perf.memory_activation import activation_bytes, buffer_bytes
from flyball.perf.memory_device import DeviceMemory
from flyball.perf.memory_graphs import cuda_graph_bytes
from flyball.perf.memory_kv import KVCacheCapacity, kv_cache_capacity
from flyball.perf.memory_rank import Rank
from flyball.perf.memory_release import memory_rules
from flyball.perf.memory_settings import MemorySettings
from flyball.perf.weights import Shard, TensorGroup, padded_vocabulary, weight_bytes_by_group
from flyball.units import GIB, MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCorrection:
    """What a recorded start showed to be different from this model, for use on the same chip with other flags."""

    weights_bytes: int = 0
    non_torch_bytes: int = 0
    """Added to the term of that name."""
    activation_factor: float = 1.0
    cuda_graph_factor: float = 1.0
    total_memory_bytes: int | None = None


NO_CORRECTION = MemoryCorrection()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryBudget:
    """Bytes of one GPU by purpose; of the rank that has the least left, where the ranks differ."""

    model: str
    accelerator: str
    version: str
    settings: MemorySettings
    total_bytes: int
    requested_bytes: int
    """`gpu_memory_utilization` of the total."""
    weights_bytes: int
    weights_by_group: Mapping[TensorGroup, int]
    activation_bytes: int
    non_torch_bytes: int
    buffer_bytes: int
    cuda_graph_bytes: int
    cuda_graphs_subtracted: bool
    """False: the graphs are captured beside the KV cache, out of what `gpu_memory_utilization` leaves."""
    kv_cache: KVCacheCapacity

    @property
    def fits(self) -> bool:
        """Whether vLLM starts: one request of `max_model_len` fits into what is left."""
        return self.kv_cache.holds_one_request

    @property
    def used_bytes(self) -> int:
        """Everything but the KV cache that the request has to cover."""
        graphs = self.cuda_graph_bytes if self.cuda_graphs_subtracted else 0
        return self.weights_bytes + self.activation_bytes + self.non_torch_bytes + self.buffer_bytes + graphs


def memory_budget(
    architecture: ModelArchitecture,
    *,
    device: DeviceMemory,
    settings: MemorySettings,
    version: str,
    correction: MemoryCorrection = NO_CORRECTION,
) -> MemoryBudget:
    """The budget of the fullest rank of `tensor_parallel_size` x `pipeline_parallel_size` such GPUs."""
    model = served_model(architecture, settings)
    if correction.total_memory_bytes is not None:
        device = replace(device, total_bytes=correction.total_memory_bytes)
    rules = memory_rules(version, model)
    stages = [
        Rank(
            model=model,
            settings=settings,
            device=device,
            rules=rules,
            shard=Shard(
                tensor_parallel_size=settings.tensor_parallel_size,
                pipeline_parallel_size=settings.pipeline_parallel_size,
                stage=stage,
                enable_expert_parallel=settings.enable_expert_parallel,
            ),
        )
        for stage in range(settings.pipeline_parallel_size)
    ]
    budgets = (_rank_budget(rank, version=version, correction=correction) for rank in stages)
    return min(budgets, key=lambda budget: budget.kv_cache.num_blocks)


def served_model(architecture: ModelArchitecture, settings: MemorySettings) -> ModelArchitecture:
    """The model as the flags have it served: quantised, in their dtype. UsageError if it cannot be split as asked."""
    model = quantized(architecture, settings.quantization)
    heads, vocabulary = model.num_attention_heads, padded_vocabulary(model)
    ranks, stages = settings.tensor_parallel_size, settings.pipeline_parallel_size
    if heads % ranks or vocabulary % ranks or (model.intermediate_size % ranks and not model.experts):
        raise UsageError(
            f"engine.tensor_parallel_size: {heads} attention heads and a vocabulary of {vocabulary} do not split over"
            f" {ranks}",
            fix="for most models 1, 2, 4 or 8",
        )
    if stages > model.num_hidden_layers:
        what = f"engine.pipeline_parallel_size: {model.num_hidden_layers} layers do not split over {stages}"
        raise UsageError(what, fix=f"at most {model.num_hidden_layers}")
    return model if settings.dtype is None else replace(model, dtype=settings.dtype)


def _rank_budget(rank: Rank, *, version: str, correction: MemoryCorrection) -> MemoryBudget:
    settings, device = rank.settings, rank.device
    groups = weight_bytes_by_group(
        rank.model, rank.shard, splits_large_blocks=rank.rules.splits_large_blocks, pads_mxfp4=rank.pads_mxfp4
    )
    budget = MemoryBudget(
        model=rank.model.name,
        accelerator=device.name,
        version=version,
        settings=settings,
        total_bytes=device.total_bytes,
        requested_bytes=math.ceil(device.total_bytes * settings.gpu_memory_utilization),
        weights_bytes=sum(groups.values()) + correction.weights_bytes,
        weights_by_group=groups,
        activation_bytes=round(activation_bytes(rank) * correction.activation_factor),
        non_torch_bytes=non_torch_bytes(rank) + correction.non_torch_bytes,
        buffer_bytes=buffer_bytes(rank),
        cuda_graph_bytes=round(cuda_graph_bytes(rank) * correction.cuda_graph_factor),
        cuda_graphs_subtracted=rank.rules.estimates_graphs,
        kv_cache=kv_cache_capacity(0, rank),
    )
    available = settings.kv_cache_memory_bytes or budget.requested_bytes - budget.used_bytes
    return replace(budget, kv_cache=kv_cache_capacity(available, rank))


def non_torch_bytes(rank: Rank) -> int:
    """What the device's memory shrinks by outside PyTorch's allocator: kernels loaded on first use, NCCL's buffers.

    Measured, not derived. One GPU: 0.22 GiB on H200 (0.26), 0.13 on H100 until 0.17, 0.11 on RTX 4090 (0.19) and A100
    (0.31), 0.16 on RTX PRO 6000 (0.26). The first runner's trial capture of graphs leaves another 30 MiB on Hopper.
    Tensor parallelism: 2.07 GiB with two and 2.13 with four H100 (0.19) behind a switch, for which NCCL takes large
    buffers; 0.95 on B200; elsewhere some 0.35 more. The stages of a pipeline load their kernels before the measurement
    starts: 0.07.
    """
    device, rules, ranks = rank.device, rank.rules, rank.shard.tensor_parallel_size
    if rank.shard.pipeline_parallel_size > 1 and ranks == 1:
        return 72 * MIB
    if device.is_blackwell:
        alone = 165 * MIB
    elif device.is_hopper:
        alone = 133 * MIB if rules.version < (0, 18) else 225 * MIB
        if rules.version >= (0, 18) and not rules.v2_runner and not rank.settings.enforce_eager:
            alone += 30 * MIB
    else:
        alone = 115 * MIB
    if ranks == 1:
        return alone
    if device.is_hopper and device.switched:
        return alone + round((1.835 + 0.05 * (math.log2(ranks) - 1)) * GIB)
    return alone + round((0.8 if device.compute_capability[0] == 10 else 0.35) * GIB)
