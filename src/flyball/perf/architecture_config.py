"""Reads a Hugging Face `config.json` into a `ModelArchitecture`, with the defaults that each family's code has."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flyball.errors import UsageError
from flyball.perf.architecture import DTYPE_BYTES, DType, LatentAttention, ModelArchitecture
from flyball.perf.architecture_experts import read_experts
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

_REQUIRED = ("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers", "vocab_size")


def architecture_from_config(config: Config, *, name: str) -> ModelArchitecture:
    """The architecture that a parsed `config.json` describes; `name` is what messages call the model.

    UsageError if the architecture is not one of `FAMILIES`, or if a key that it needs is missing.
    """
    architecture = _architecture_class(config, name)
    family = FAMILIES[architecture]
    text = {**family.defaults, **_text_config(config)}
    lacking = [key for key in (*_REQUIRED, "max_position_embeddings") if text.get(key) is None]
    if lacking:
        raise UsageError(
            f"{name}: config.json of {architecture} lacks {', '.join(lacking)}",
            fix="give the folder of the whole model, or a config.json with these keys",
        )
    heads = int(text["num_attention_heads"])
    latent = _latent_attention(text)
    head_dim = int(text.get("head_dim") or text["hidden_size"] // heads)
    bias = bool(text.get("attention_bias", False))
    window = _sliding_window(text)
    model_len, longest, rope_positions = _lengths(text, architecture)
    rotary = float(text.get("partial_rotary_factor") or 1.0)
    return ModelArchitecture(
        name=name,
        architecture=architecture,
        dtype=_dtype(config, text),
        vocab_size=int(text["vocab_size"]),
        hidden_size=int(text["hidden_size"]),
        num_hidden_layers=int(text["num_hidden_layers"]),
        num_attention_heads=heads,
        num_key_value_heads=int(text.get("num_key_value_heads") or heads),
        head_dim=head_dim,
        intermediate_size=int(text["intermediate_size"]),
        max_model_len=model_len,
        longest_model_len=longest,
        rope_positions=rope_positions,
        rope_dim=latent.qk_rope_head_dim if latent else int(head_dim * rotary),
        tie_word_embeddings=bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False))),
        qkv_bias=family.qkv_bias or bias,
        output_bias=bias,
        mlp_bias=bool(text.get("mlp_bias", False)),
        qk_norm=family.qk_norm,
        attention_sinks=family.attention_sinks,
        norms_per_layer=family.norms_per_layer,
        sliding_window=window,
        num_sliding_layers=_num_sliding_layers(text, family) if window else 0,
        latent=latent,
        experts=read_experts(text, architecture=architecture),
        quantization=read_quantization(config.get("quantization_config"), name=name),
        tower_parameters=_tower_parameters(config, text, name),
    )


def _architecture_class(config: Config, name: str) -> str:
    classes = config.get("architectures") or []
    known = [each for each in classes if each in FAMILIES]
    if known:
        return str(known[0])
    if not classes:
        what = f"{name}: config.json has no `architectures`, so its layers are unknown"
        raise UsageError(what, fix=f"add one of {', '.join(sorted(FAMILIES))}")
    what = (
        f"{name}: {classes[0]} is not known here: which tensors a layer has and what it caches for a token is missing"
    )
    raise UsageError(what, fix=f"known: {', '.join(sorted(FAMILIES))}")


def _text_config(config: Config) -> Config:
    """The decoder's part of a configuration that nests it, without the keys that are null."""
    nested = config.get("text_config") or {}
    return {key: value for key, value in {**config, **nested}.items() if value is not None}


def _dtype(config: Config, text: Config) -> DType:
    """What vLLM's `--dtype auto` takes: a float32 checkpoint is served in half precision."""
    stored = str(config.get("torch_dtype") or config.get("dtype") or text.get("torch_dtype") or text.get("dtype") or "")
    stored = stored.removeprefix("torch.")
    return "float16" if stored == "float16" else "bfloat16"


def _latent_attention(text: Config) -> LatentAttention | None:
    if not text.get("kv_lora_rank"):
        return None
    return LatentAttention(
        kv_lora_rank=text["kv_lora_rank"],
        q_lora_rank=text.get("q_lora_rank"),
        qk_nope_head_dim=text["qk_nope_head_dim"],
        qk_rope_head_dim=text["qk_rope_head_dim"],
        v_head_dim=text["v_head_dim"],
    )


def _sliding_window(text: Config) -> int | None:
    if text.get("use_sliding_window") is False or ("use_sliding_window" not in text and "max_window_layers" in text):
        return None
    window = text.get("sliding_window")
    return int(window) if window else None


def _num_sliding_layers(text: Config, family: Family) -> int:
    layers = int(text["num_hidden_layers"])
    if text.get("layer_types"):
        return sum(kind == "sliding_attention" for kind in text["layer_types"])
    every = int(text.get("sliding_window_pattern") or family.full_attention_every)
    return layers if every == 1 else layers - layers // every


def _lengths(text: Config, architecture: str) -> tuple[int, int, int]:
    """(default context, longest context, rows of the rotary table), as `ModelConfig` of vLLM 0.32 derives them."""
    positions = int(text["max_position_embeddings"])
    scaling = text.get("rope_scaling") or text.get("rope_parameters") or {}
    kind = str(scaling.get("rope_type") or scaling.get("type") or "default")
    factor = float(scaling.get("factor") or 1.0)
    if kind in ("longrope", "su"):
        return int(text.get("original_max_position_embeddings", positions)), positions, positions
    scaled = int(positions * factor) if kind in ("linear", "dynamic") else positions
    if architecture.startswith("Gemma3"):
        # Its positions are scaled already; the windowed layers have a second table, without scaling.
        return positions, positions, scaled + positions
    return scaled, scaled, scaled


def _tower_parameters(config: Config, text: Config, name: str) -> int:
    vision = config.get("vision_config")
    return vision_parameters(vision, hidden_size=int(text["hidden_size"]), name=name) if vision else 0


def dtype_named(name: str) -> DType:
    """The dtype of vLLM's `--dtype` spelling; UsageError for one that is unknown."""
    spelled = {"half": "float16", "float": "float32", "fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}
    wanted = spelled.get(name, name)
    for known in DTYPE_BYTES:
        if known == wanted:
            return known
    raise UsageError(f"dtype: {name!r} is unknown", fix=f"one of {', '.join(DTYPE_BYTES)}")
