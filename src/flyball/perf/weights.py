"""The tensors that vLLM keeps on one GPU: fused as its layers fuse them, sharded, quantised, rounded in allocation."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from flyball.perf.architecture import DTYPE_BYTES, LatentAttention, MixtureOfExperts, ModelArchitecture, Quantization
from flyball.units import MIB

TensorGroup = Literal["embedding", "attention", "mlp", "experts", "norms", "output", "vision", "tables"]

VOCABULARY_PADDING = 64
"""vLLM rounds the vocabulary up to this (`DEFAULT_VOCAB_PADDING_SIZE`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightTensor:
    """`copies` allocations of `batch` x `rows` x `columns` elements; rows run over the output of a linear layer."""

    group: TensorGroup
    rows: int
    columns: int = 1
    batch: int = 1
    copies: int = 1
    linear: bool = False
    """Whether quantisation applies."""
    mxfp4_padding: tuple[int, int] = (1, 1)
    """Multiples that the MXFP4 kernels round rows and columns of the weights up to (vLLM `quantization/mxfp4.py`)."""
    parameter: bool = True
    """False for what the engine derives from parameters: tables, copies in another layout."""

    @property
    def elements(self) -> int:
        """Of one copy."""
        return self.batch * self.rows * self.columns

    def allocations(
        self, element_bytes: int, quantization: Quantization | None, *, pads_mxfp4: bool = True
    ) -> tuple[int, ...]:
        """Bytes of what one copy is stored in: the weights and, quantised, their scales and zero points."""
        if quantization is None or not self.linear or (quantization.experts_only and self.group != "experts"):
            return (self.elements * element_bytes,)
        groups = self.columns // quantization.group_size if quantization.group_size else 1
        scales = self.batch * groups * -(-self.rows // quantization.block_rows)
        zeros = scales * quantization.weight_bits // 8 if quantization.zero_points else 0
        rows, columns = self.rows, self.columns
        if quantization.method == "mxfp4" and pads_mxfp4:
            rows, columns = round_up(rows, self.mxfp4_padding[0]), round_up(columns, self.mxfp4_padding[1])
        return self.batch * rows * columns * quantization.weight_bits // 8, scales * quantization.scale_bytes, zeros

    def nbytes(self, element_bytes: int, quantization: Quantization | None) -> int:
        """Of one copy, scales and zero points included."""
        return sum(self.allocations(element_bytes, quantization))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """The part of the model that one rank holds."""

    tensor_parallel_size: int = 1
    pipeline_parallel_size: int = 1
    stage: int = 0
    enable_expert_parallel: bool = False

    def layers(self, num_hidden_layers: int) -> range:
        """An even split, the remainder to the stages before the last (`get_pp_indices`)."""
        share, rest = divmod(num_hidden_layers, self.pipeline_parallel_size)
        last = self.pipeline_parallel_size - 1
        sizes = [share + (last - rest <= stage < last) for stage in range(self.pipeline_parallel_size)]
        start = sum(sizes[: self.stage])
        return range(start, start + sizes[self.stage])

    @property
    def is_first(self) -> bool:
        return self.stage == 0

    @property
    def is_last(self) -> bool:
        return self.stage == self.pipeline_parallel_size - 1


WHOLE = Shard()


def padded_vocabulary(architecture: ModelArchitecture) -> int:
    return round_up(architecture.vocab_size, VOCABULARY_PADDING)


def round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def weight_tensors(model: ModelArchitecture, shard: Shard = WHOLE) -> Iterator[WeightTensor]:
    """What one rank keeps, the engine's own tables among them."""
    tp, width = shard.tensor_parallel_size, model.hidden_size
    vocabulary = padded_vocabulary(model) // tp
    layers = shard.layers(model.num_hidden_layers)
    num_moe = sum(layer >= model.num_dense_layers for layer in layers)
    if shard.is_first or (shard.is_last and model.tie_word_embeddings):
        yield WeightTensor(group="embedding", rows=vocabulary, columns=width)
    if shard.is_last:
        if not model.tie_word_embeddings:
            yield WeightTensor(group="output", rows=vocabulary, columns=width)
        yield WeightTensor(group="norms", rows=width)
    yield WeightTensor(group="norms", rows=width, copies=model.norms_per_layer * len(layers))
    yield from (
        _latent_tensors(model, model.latent, tp, len(layers))
        if model.latent
        else _attention_tensors(model, tp, len(layers))
    )
    yield from _mlp(model, model.intermediate_size, tp, len(layers) - num_moe)
    if model.experts and num_moe:
        yield from _expert_tensors(model, model.experts, shard, num_moe)
    if model.tower_parameters and shard.is_first:
        # Towers are run data-parallel or sharded by choice of the model's code; whole on a rank is the larger case.
        yield WeightTensor(group="vision", rows=16 * 1024 * 1024, copies=model.tower_parameters // (16 * 1024 * 1024))
        yield WeightTensor(group="vision", rows=model.tower_parameters % (16 * 1024 * 1024))
    yield WeightTensor(group="tables", rows=model.rope_positions, columns=model.rope_dim, parameter=False)


def _attention_tensors(model: ModelArchitecture, tp: int, layers: int) -> Iterator[WeightTensor]:
    width, heads = model.hidden_size, model.num_attention_heads // tp
    qkv = (heads + 2 * model.kv_heads_per_rank(tp)) * model.head_dim
    yield WeightTensor(group="attention", rows=qkv, columns=width, copies=layers, linear=True)
    yield WeightTensor(group="attention", rows=width, columns=heads * model.head_dim, copies=layers, linear=True)
    if model.qkv_bias:
        yield WeightTensor(group="attention", rows=qkv, copies=layers)
    if model.output_bias:
        yield WeightTensor(group="attention", rows=width, copies=layers)
    if model.qk_norm:
        yield WeightTensor(group="norms", rows=model.head_dim, copies=2 * layers)
    if model.attention_sinks:
        yield WeightTensor(group="attention", rows=heads, copies=layers)


def _latent_tensors(model: ModelArchitecture, latent: LatentAttention, tp: int, layers: int) -> Iterator[WeightTensor]:
    width, heads = model.hidden_size, model.num_attention_heads // tp
    query = heads * (latent.qk_nope_head_dim + latent.qk_rope_head_dim)
    down = latent.latent_dim + (latent.q_lora_rank or 0)
    up = heads * (latent.qk_nope_head_dim + latent.v_head_dim)
    yield WeightTensor(group="attention", rows=down, columns=width, copies=layers, linear=True)
    yield WeightTensor(group="attention", rows=query, columns=latent.q_lora_rank or width, copies=layers, linear=True)
    yield WeightTensor(group="attention", rows=up, columns=latent.kv_lora_rank, copies=layers, linear=True)
    yield WeightTensor(group="attention", rows=width, columns=heads * latent.v_head_dim, copies=layers, linear=True)
    yield WeightTensor(group="norms", rows=latent.kv_lora_rank + (latent.q_lora_rank or 0), copies=layers)
    # The up-projections once more, unquantised and split, for the decode path that attends in latent space.
    yield WeightTensor(group="attention", rows=up, columns=latent.kv_lora_rank, copies=layers, parameter=False)


def _mlp(model: ModelArchitecture, inner: int, tp: int, layers: int) -> Iterator[WeightTensor]:
    """A gated MLP: gate and up fused, then down."""
    if not inner or not layers:
        return
    width = model.hidden_size
    yield WeightTensor(group="mlp", rows=2 * inner // tp, columns=width, copies=layers, linear=True)
    yield WeightTensor(group="mlp", rows=width, columns=inner // tp, copies=layers, linear=True)
    if model.mlp_bias:
        yield WeightTensor(group="mlp", rows=2 * inner // tp + width, copies=layers)


def _expert_tensors(
    model: ModelArchitecture, experts: MixtureOfExperts, shard: Shard, layers: int
) -> Iterator[WeightTensor]:
    """The experts of a layer are two tensors; expert parallelism deals out whole experts, tensor parallelism slices."""
    tp, width = shard.tensor_parallel_size, model.hidden_size
    count = -(-experts.num_experts // tp) if shard.enable_expert_parallel else experts.num_experts
    inner = experts.moe_intermediate_size // (1 if shard.enable_expert_parallel else tp)
    yield WeightTensor(
        group="experts",
        batch=count,
        rows=2 * inner,
        columns=width,
        copies=layers,
        linear=True,
        mxfp4_padding=(256, 256),
    )
    yield WeightTensor(
        group="experts", batch=count, rows=width, columns=inner, copies=layers, linear=True, mxfp4_padding=(256, 128)
    )
    if experts.expert_bias:
        yield WeightTensor(group="experts", batch=count, rows=2 * inner + width, copies=layers)
    yield WeightTensor(group="experts", rows=experts.num_experts, columns=width, copies=layers)
    if experts.router_bias:
        yield WeightTensor(group="experts", rows=experts.num_experts, copies=layers)
    yield from _mlp(model, experts.shared_intermediate_size, tp, layers)
    if experts.shared_gate:
        yield WeightTensor(group="mlp", rows=width, copies=layers)


def parameter_count(model: ModelArchitecture) -> int:
    """Parameters of the whole model, as its checkpoint holds them (without vLLM's padding of the vocabulary)."""
    padding = (padded_vocabulary(model) - model.vocab_size) * model.hidden_size
    tensors = [tensor for tensor in weight_tensors(model) if tensor.parameter]
    vocabularies = sum(tensor.group in ("embedding", "output") for tensor in tensors)
    return sum(tensor.elements * tensor.copies for tensor in tensors) - padding * vocabularies


def active_parameter_count(model: ModelArchitecture) -> int:
    """Parameters that one token passes through: of the experts only those that it is routed to."""
    if model.experts is None:
        return parameter_count(model)
    routed = sum(
        tensor.elements * tensor.copies
        for tensor in weight_tensors(model)
        if tensor.group == "experts" and tensor.batch == model.experts.num_experts
    )
    idle = 1 - model.experts.num_experts_per_tok / model.experts.num_experts
    return parameter_count(model) - round(routed * idle)


def weight_bytes(
    model: ModelArchitecture, shard: Shard = WHOLE, *, splits_large_blocks: bool = True, pads_mxfp4: bool = True
) -> int:
    """Bytes that PyTorch counts as allocated for this rank's weights and tables (see `allocated_bytes`)."""
    groups = weight_bytes_by_group(model, shard, splits_large_blocks=splits_large_blocks, pads_mxfp4=pads_mxfp4)
    return sum(groups.values())


def weight_bytes_by_group(
    model: ModelArchitecture, shard: Shard = WHOLE, *, splits_large_blocks: bool = True, pads_mxfp4: bool = True
) -> Mapping[TensorGroup, int]:
    total: Counter[TensorGroup] = Counter()
    element = DTYPE_BYTES[model.dtype]
    for tensor in weight_tensors(model, shard):
        parts = tensor.allocations(element, model.quantization, pads_mxfp4=pads_mxfp4)
        one = sum(allocated_bytes(nbytes, splits_large_blocks=splits_large_blocks) for nbytes in parts)
        total[tensor.group] += one * tensor.copies
    return dict(total)


def allocated_bytes(nbytes: int, *, splits_large_blocks: bool = True) -> int:
    """What PyTorch's caching allocator counts for a request of `nbytes`.

    Requests are rounded to 512 bytes. From 10 MiB on a segment of whole 2 MiB is reserved for the request, and the rest
    of it is split off only if it exceeds 1 MiB (c10/cuda/CUDACachingAllocator.cpp) - and not at all from 20 MiB on
    where `max_split_size_mb` is 20, as vLLM sets it since 0.22 while it loads weights.
    """
    rounded = round_up(nbytes, 512)
    if rounded < 10 * MIB:
        return rounded
    segment = round_up(rounded, 2 * MIB)
    may_split = splits_large_blocks or rounded < 20 * MIB
    return rounded if may_split and segment - rounded > MIB else segment
