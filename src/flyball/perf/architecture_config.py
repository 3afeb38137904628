"""Reads a Hugging Face `config.json` into a `ModelArchitecture`, with the defaults that each family's code has."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flyball.errors import UsageError
from flyball.perf.architecture import DTYPE_BYTES, DType, LatentAttention, ModelArchitecture
from flyball.perf.architecture_experts import read_experts
from flyball.perf.architecture_keys import ConfigKeys
from flyball.perf.architecture_quantization import read_quantization
from flyball.perf.architecture_vision import vision_parameters

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What an architecture's code fixes and its `config.json` may leave out (transformers' configuration classes)."""

    defaults: Config = field(default_factory=dict)
    qkv_bias: bool = False
    qk_norm: bool = False
    norms_per_layer: int = 2
    full_attention_every: int = 1
    """Of so many layers one attends to everything, the others to a window; 1: all alike."""
    attention_sinks: bool = False


_GEMMA_2 = {"tie_word_embeddings": True, "head_dim": 256, "vocab_size": 256000, "max_position_embeddings": 8192}
_GEMMA_3 = {
    "tie_word_embeddings": True, "head_dim": 256, "vocab_size": 262208, "max_position_embeddings": 131072,
    "num_attention_heads": 8, "num_key_value_heads": 4, "sliding_window": 4096,
}  # fmt: skip
_GPT_OSS = {"attention_bias": True, "sliding_window": 128, "head_dim": 64}

FAMILIES: Mapping[str, Family] = {
    "LlamaForCausalLM": Family(),
    "GraniteForCausalLM": Family(),
    "MistralForCausalLM": Family(),
    "Mistral3ForConditionalGeneration": Family(),
    "MixtralForCausalLM": Family(),
    "Qwen2ForCausalLM": Family(qkv_bias=True),
    "Qwen2MoeForCausalLM": Family(qkv_bias=True),
    "Qwen3ForCausalLM": Family(qk_norm=True),
    "Qwen3MoeForCausalLM": Family(qk_norm=True),
    "GemmaForCausalLM": Family(defaults=_GEMMA_2),
    "Gemma2ForCausalLM": Family(defaults=_GEMMA_2, norms_per_layer=4, full_attention_every=2),
    "Gemma3ForCausalLM": Family(
        defaults={**_GEMMA_3, "vocab_size": 262144}, qk_norm=True, norms_per_layer=4, full_attention_every=6
    ),
    "Gemma3ForConditionalGeneration": Family(
        defaults=_GEMMA_3, qk_norm=True, norms_per_layer=4, full_attention_every=6
    ),
    "Phi3ForCausalLM": Family(),
    "DeepseekV2ForCausalLM": Family(),
    "DeepseekV3ForCausalLM": Family(),
    "GptOssForCausalLM": Family(defaults=_GPT_OSS, qkv_bias=True, full_attention_every=2, attention_sinks=True),
}

_REQUIRED = (
    "hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers", "vocab_size",
    "max_position_embeddings",
)  # fmt: skip


def architecture_from_config(config: Config, *, name: str) -> ModelArchitecture:
    """The architecture that a parsed `config.json` describes; `name` is what messages call the model.

    UsageError if the architecture is not one of `FAMILIES`, or if a key that it needs is missing or of the wrong kind.
    """
    whole = ConfigKeys(config, name)
    architecture = _architecture_class(whole)
    family = FAMILIES[architecture]
    text = _text_keys(whole, family)
    lacking = [key for key in _REQUIRED if not text.given(key)]
    if lacking:
        raise UsageError(
            f"{name}: config.json of {architecture} lacks {', '.join(lacking)}",
            fix="give the folder of the whole model, or a config.json with these keys",
        )
    heads, hidden_size = text.count("num_attention_heads"), text.count("hidden_size")
    latent = _latent_attention(text)
    head_dim = text.count("head_dim", default=max(1, hidden_size // heads))
    bias = text.flag("attention_bias")
    window = _sliding_window(text)
    model_len, longest, rope_positions = _lengths(text, architecture)
    vision = whole.section("vision_config")
    return ModelArchitecture(
        name=name,
        architecture=architecture,
        dtype=_dtype(whole, text),
        vocab_size=text.count("vocab_size"),
        hidden_size=hidden_size,
        num_hidden_layers=text.count("num_hidden_layers"),
        num_attention_heads=heads,
        num_key_value_heads=text.count("num_key_value_heads", default=heads),
        head_dim=head_dim,
        intermediate_size=text.count("intermediate_size"),
        max_model_len=model_len,
        longest_model_len=longest,
        rope_positions=rope_positions,
        rope_dim=latent.qk_rope_head_dim if latent else int(head_dim * text.number("partial_rotary_factor", 1.0)),
        tie_word_embeddings=(whole if whole.given("tie_word_embeddings") else text).flag("tie_word_embeddings"),
        qkv_bias=family.qkv_bias or bias,
        output_bias=bias,
        mlp_bias=text.flag("mlp_bias"),
        qk_norm=family.qk_norm,
        attention_sinks=family.attention_sinks,
        norms_per_layer=family.norms_per_layer,
        sliding_window=window,
        num_sliding_layers=_num_sliding_layers(text, family) if window else 0,
        latent=latent,
        experts=read_experts(text, architecture=architecture),
        quantization=read_quantization(whole.section("quantization_config")),
        tower_parameters=vision_parameters(vision, hidden_size=hidden_size) if vision else 0,
    )


def _architecture_class(config: ConfigKeys) -> str:
    classes = [str(each) for each in config.items("architectures")]
    known = [each for each in classes if each in FAMILIES]
    if known:
        return known[0]
    if not classes:
        what = f"{config.name}: config.json has no `architectures`, so its layers are unknown"
        raise UsageError(what, fix=f"add one of {', '.join(sorted(FAMILIES))}")
    what = (
        f"{config.name}: {classes[0]} is not known here: which tensors a layer has and what it caches for a token is"
        " missing"
    )
    raise UsageError(what, fix=f"known: {', '.join(sorted(FAMILIES))}")


def _text_keys(config: ConfigKeys, family: Family) -> ConfigKeys:
    """The decoder's part of a configuration that nests it, with the family's defaults for what is null or missing."""
    nested = config.section("text_config")
    values = {**config.values, **(nested.values if nested else {})}
    given = {key: value for key, value in values.items() if value is not None}
    return ConfigKeys({**family.defaults, **given}, config.name)


def _dtype(config: ConfigKeys, text: ConfigKeys) -> DType:
    """What vLLM's `--dtype auto` takes: a float32 checkpoint is served in half precision."""
    stored = config.text("torch_dtype") or config.text("dtype") or text.text("torch_dtype") or text.text("dtype")
    return "float16" if stored.removeprefix("torch.") == "float16" else "bfloat16"


def _latent_attention(text: ConfigKeys) -> LatentAttention | None:
    if not text.count("kv_lora_rank", default=0, least=0):
        return None
    return LatentAttention(
        kv_lora_rank=text.count("kv_lora_rank"),
        q_lora_rank=text.count("q_lora_rank", default=0, least=0) or None,
        qk_nope_head_dim=text.count("qk_nope_head_dim"),
        qk_rope_head_dim=text.count("qk_rope_head_dim"),
        v_head_dim=text.count("v_head_dim"),
    )


def _sliding_window(text: ConfigKeys) -> int | None:
    if not text.flag("use_sliding_window", default=not text.given("max_window_layers")):
        return None
    return text.count("sliding_window", default=0, least=0) or None


def _num_sliding_layers(text: ConfigKeys, family: Family) -> int:
    layers = text.count("num_hidden_layers")
    kinds = text.items("layer_types")
    if kinds:
        return sum(kind == "sliding_attention" for kind in kinds)
    every = text.count("sliding_window_pattern", default=family.full_attention_every)
    return layers if every == 1 else layers - layers // every


def _lengths(text: ConfigKeys, architecture: str) -> tuple[int, int, int]:
    """(default context, longest context, rows of the rotary table), as `ModelConfig` of vLLM 0.32 derives them."""
    positions = text.count("max_position_embeddings")
    scaling = text.section("rope_scaling") or text.section("rope_parameters") or ConfigKeys({}, text.name)
    # transformers 5 gives each kind of layer its own.
    scaling = scaling.section("full_attention") or scaling
    kind = scaling.text("rope_type") or scaling.text("type")
    factor = scaling.number("factor", 1.0)
    if kind in ("longrope", "su"):
        keys = text if text.given("original_max_position_embeddings") else scaling
        return keys.count("original_max_position_embeddings", default=positions), positions, positions
    scaled = int(positions * factor) if kind in ("linear", "dynamic") else positions
    if architecture.startswith("Gemma3"):
        # Its positions are scaled already; the windowed layers have a second table, without scaling.
        return positions, positions, scaled + positions
    return scaled, scaled, scaled


def dtype_named(name: str) -> DType:
    """The dtype of vLLM's `--dtype` spelling; UsageError for one that is unknown."""
    spelled = {"half": "float16", "float": "float32", "fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}
    wanted = spelled.get(name, name)
    for known in DTYPE_BYTES:
        if known == wanted:
            return known
    raise UsageError(f"dtype: {name!r} is unknown", fix=f"one of {', '.join(DTYPE_BYTES)}")
