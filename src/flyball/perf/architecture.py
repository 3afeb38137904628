"""What a model is made of, in the terms that memory and step time need: layers, heads, experts, vocabulary, dtypes."""

from dataclasses import dataclass
from typing import Literal

DType = Literal["bfloat16", "float16", "float32"]
DTYPE_BYTES: dict[DType, int] = {"bfloat16": 2, "float16": 2, "float32": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentAttention:
    """Multi-head latent attention (DeepSeek V2, arXiv 2405.04434): keys and values compressed to one latent a token."""

    kv_lora_rank: int
    q_lora_rank: int | None
    """None: queries are projected directly."""
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int

    @property
    def latent_dim(self) -> int:
        """Elements cached a token and layer: the latent and the shared rotary key."""
        return self.kv_lora_rank + self.qk_rope_head_dim


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureOfExperts:
    """The routed layers of a model; the others are dense."""

    num_experts: int
    num_experts_per_tok: int
    moe_intermediate_size: int
    num_moe_layers: int
    shared_intermediate_size: int = 0
    """Width of the experts that every token passes, 0 without any."""
    shared_gate: bool = False
    """Whether a learned gate scales the shared expert (Qwen2-MoE)."""
    expert_bias: bool = False
    router_bias: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """How the linear layers' weights are stored; embedding, output head, norms and router keep the model's dtype."""

    method: str
    """vLLM's name: fp8, awq, gptq, mxfp4, compressed-tensors, bitsandbytes."""
    weight_bits: int
    group_size: int | None = None
    """Weights that share a scale along the input; None: one scale a row of the output (or one in all)."""
    block_rows: int = 1
    """Rows of the output that share a scale too, as in DeepSeek's 128 x 128 blocks."""
    scale_bytes: int = 2
    zero_points: bool = False
    experts_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelArchitecture:
    """The shape of a decoder, as its `config.json` gives it. Sizes are of the whole model, before any sharding."""

    name: str
    architecture: str
    """The class in `architectures`: `LlamaForCausalLM`."""
    dtype: DType
    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    """Width of the dense MLP; of the dense layers, if the model has experts as well."""
    max_model_len: int
    """The context that vLLM takes if `--max-model-len` is not given."""
    longest_model_len: int
    """The longest `--max-model-len` that vLLM accepts."""
    rope_positions: int
    """Rows of the tables of rotary angles that the engine keeps, all of them together."""
    rope_dim: int
    tie_word_embeddings: bool = False
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    qk_norm: bool = False
    attention_sinks: bool = False
    norms_per_layer: int = 2
    sliding_window: int | None = None
    num_sliding_layers: int = 0
    """Layers that attend to `sliding_window` tokens only; the rest attend to all."""
    latent: LatentAttention | None = None
    experts: MixtureOfExperts | None = None
    quantization: Quantization | None = None
    tower_parameters: int = 0
    """Parameters of encoders and projectors for other modalities, counted whole on the first rank."""

    @property
    def num_dense_layers(self) -> int:
        return self.num_hidden_layers - (self.experts.num_moe_layers if self.experts else 0)

    @property
    def is_multimodal(self) -> bool:
        return self.tower_parameters > 0

    @property
    def query_dim(self) -> int:
        """Elements of all heads' queries of one token."""
        if self.latent:
            return self.num_attention_heads * (self.latent.qk_nope_head_dim + self.latent.qk_rope_head_dim)
        return self.num_attention_heads * self.head_dim

    @property
    def attention_output_dim(self) -> int:
        """Elements that attention hands to the output projection for one token."""
        return self.num_attention_heads * (self.latent.v_head_dim if self.latent else self.head_dim)

    def kv_heads_per_rank(self, tensor_parallel_size: int) -> int:
        """KV heads that each rank keeps: vLLM replicates them when there are fewer than ranks."""
        return max(1, self.num_key_value_heads // tensor_parallel_size)

    def kv_elements_per_layer(self, tensor_parallel_size: int = 1) -> int:
        """Elements that one layer of one rank caches for a token; the latent of MLA is kept whole on every rank."""
        if self.latent:
            return self.latent.latent_dim
        return 2 * self.kv_heads_per_rank(tensor_parallel_size) * self.head_dim
