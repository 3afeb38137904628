"""`StepCosts`: what a token, a pair, a weight pass and a message cost in seconds, for one rank of one configuration."""

from dataclasses import dataclass

from flyball.catalog import Accelerator
from flyball.perf.architecture import DTYPE_BYTES, ModelArchitecture, Quantization
from flyball.perf.efficiency import Efficiency
from flyball.perf.memory_settings import MemorySettings
from flyball.perf.weights import Shard, WeightTensor, weight_tensors


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearCosts:
    """The linear layers and the experts of one rank."""

    dense_s: float
    """Reading the weights that every step needs, the output head among them."""
    experts_s: float
    """Reading all routed experts; a step touches a share of them."""
    idle_share: float
    """Probability that one token leaves an expert untouched, routing taken as even."""
    token_s: float
    """FLOPs of one token."""
    sample_s: float
    """FLOPs of the output head, for one sequence whose next token is drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionCosts:
    """Attention of one rank over all its layers; sliding ones apart, since they see `window` tokens at most."""

    pair_s: float
    """FLOPs of one pair of a prompt's token and one before it."""
    sliding_pair_s: float
    context_s: float
    """One token of context of a decoding sequence: its bytes, or its FLOPs where MLA makes them the longer."""
    sliding_context_s: float
    window: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What the chip reaches, with the efficiencies in."""

    flops_per_s: float
    quantized_flops_per_s: float
    """Of the layers whose weights are quantised: the narrow dtype's if the chip computes in it, else as above."""
    bytes_per_s: float
    link_bytes_per_s: float
    expert_compute: float
    """Share of the FLOP/s that the experts' multiplications reach."""


def rates(accelerator: Accelerator, quantization: Quantization | None, efficiency: Efficiency) -> Rates:
    """AWQ, GPTQ and bitsandbytes are widened to 16 bits before they are multiplied, of whatever width (Marlin kernels).

    MXFP4 is widened too, but on chips that compute in 4 bits to 8 only (FlashInfer's kernels).
    """
    peak = accelerator.dense_flops_per_s
    sixteen = peak.get("bf16") or peak["fp16"]
    narrow = sixteen
    if quantization and quantization.method == "modelopt" and quantization.weight_bits == 4:
        narrow = peak.get("fp4", sixteen)
    elif quantization and quantization.method == "mxfp4" and "fp4" in peak:
        narrow = peak["fp8"]
    elif quantization and quantization.method == "compressed-tensors" and quantization.weight_bits == 8:
        narrow = peak.get("fp8") or peak.get("int8", sixteen)
    elif quantization and quantization.weight_bits == 8 and quantization.method in ("fp8", "modelopt"):
        narrow = peak.get("fp8", sixteen)
    return Rates(
        flops_per_s=sixteen * efficiency.compute,
        quantized_flops_per_s=narrow * efficiency.compute,
        bytes_per_s=accelerator.memory_bandwidth_bytes_per_s * efficiency.memory,
        link_bytes_per_s=accelerator.interconnect.bytes_per_s * efficiency.interconnect,
        expert_compute=efficiency.expert_compute,
    )


def linear_costs(model: ModelArchitecture, settings: MemorySettings, rates: Rates) -> LinearCosts:
    experts = model.experts
    share = experts.num_experts_per_tok / experts.num_experts if experts else 1.0
    head = "embedding" if model.tie_word_embeddings else "output"
    dense_bytes = expert_bytes = 0
    token_s = sample_s = 0.0
    for tensor in weight_tensors(model, _shard(settings)):
        nbytes = tensor.nbytes(DTYPE_BYTES[model.dtype], model.quantization) * tensor.copies
        multiply_s = 2 * tensor.elements * tensor.copies / _rate(tensor, model.quantization, rates)
        if tensor.group == head:
            dense_bytes += nbytes
            sample_s += multiply_s
        elif tensor.group == "experts" and tensor.batch > 1:
            expert_bytes += nbytes
            token_s += share * multiply_s / rates.expert_compute
        elif tensor.parameter and tensor.group in ("attention", "mlp", "experts"):
            dense_bytes += nbytes
            token_s += multiply_s
    return LinearCosts(
        dense_s=dense_bytes / rates.bytes_per_s,
        experts_s=expert_bytes / rates.bytes_per_s,
        idle_share=1 - share,
        token_s=token_s,
        sample_s=sample_s,
    )


def _shard(settings: MemorySettings) -> Shard:
    return Shard(
        tensor_parallel_size=settings.tensor_parallel_size, enable_expert_parallel=settings.enable_expert_parallel
    )


def _rate(tensor: WeightTensor, quantization: Quantization | None, rates: Rates) -> float:
    narrow = quantization and tensor.linear and (tensor.group == "experts" or not quantization.experts_only)
    return rates.quantized_flops_per_s if narrow else rates.flops_per_s


def attention_costs(model: ModelArchitecture, settings: MemorySettings, rates: Rates) -> AttentionCosts:
    tp, sliding = settings.tensor_parallel_size, model.num_sliding_layers
    whole = model.num_hidden_layers - sliding
    # Two FLOPs an element, for the score of a pair and for its weighted value.
    pair_s = 2 * (model.query_dim + model.attention_output_dim) / tp / rates.flops_per_s
    element_bytes = settings.kv_element_bytes(DTYPE_BYTES[model.dtype])
    context_s = model.kv_elements_per_layer(tp) * element_bytes / rates.bytes_per_s
    if model.latent:
        # Decoding attends in the latent space: all heads' scores and values against one cached vector.
        latent = 2 * model.num_attention_heads / tp * (model.latent.latent_dim + model.latent.kv_lora_rank)
        context_s = max(context_s, latent / rates.flops_per_s)
    return AttentionCosts(
        pair_s=whole * pair_s,
        sliding_pair_s=sliding * pair_s,
        context_s=whole * context_s,
        sliding_context_s=sliding * context_s,
        window=float(model.sliding_window or 0),
    )
