from typing import Any

import pytest

from flyball.errors import UsageError
from flyball.perf import ModelArchitecture, architecture_from_config, builtin_architecture, builtin_models
from flyball.perf.architecture import DTYPE_BYTES
from flyball.perf.weights import active_parameter_count, parameter_count, weight_tensors

_ASKED_FOR = (
    "meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.2-1B-Instruct", "meta-llama/Llama-3.2-3B",
    "meta-llama/Llama-3.3-70B-Instruct", "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen3-8B", "Qwen/Qwen3-32B",
    "Qwen/Qwen3-30B-A3B", "Qwen/Qwen3-235B-A22B", "mistralai/Mistral-Small-24B-Instruct-2501", "google/gemma-3-27b-it",
    "openai/gpt-oss-20b", "openai/gpt-oss-120b", "deepseek-ai/DeepSeek-V3",
)  # fmt: skip


def _builtin(model: str) -> ModelArchitecture:
    found = builtin_architecture(model)
    assert found is not None
    return found


def _llama(**changes: Any) -> dict[str, Any]:
    config = {
        "architectures": ["LlamaForCausalLM"], "hidden_size": 2048, "intermediate_size": 8192,
        "num_attention_heads": 32,
        "num_hidden_layers": 16, "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 131072,
        "torch_dtype": "bfloat16",
    }  # fmt: skip
    return {key: value for key, value in {**config, **changes}.items() if value is not ...}


@pytest.mark.parametrize("model", builtin_models())
def test_parameters_are_those_published(model: str) -> None:
    """The tensors that follow from the built-in shape add up to the published count: oracle of shape and formulas."""
    counted = parameter_count(_builtin(model))

    assert counted == pytest.approx(builtin_models()[model], rel=0.001)


def test_table_has_the_models_that_people_serve() -> None:
    """Thirty distinct shapes at least, those of the specification among them, base and instruct alike."""
    shapes = {parameter_count(_builtin(model)) for model in builtin_models()}

    assert len(shapes) >= 30
    assert all(builtin_architecture(model) for model in _ASKED_FOR)
    assert _builtin("meta-llama/Llama-3.1-8B").head_dim == _builtin("meta-llama/Llama-3.1-8B-Instruct").head_dim == 128


def test_ids_are_found_in_any_case() -> None:
    """The hub's ids are case-insensitive; what is not in the table is None, not a guess."""
    assert builtin_architecture("META-LLAMA/llama-3.1-8b-INSTRUCT") is not None
    assert builtin_architecture("meta-llama/Llama-9-1B") is None


@pytest.mark.parametrize(
    ("model", "billions"),
    [
        ("Qwen/Qwen3-30B-A3B", 3.3),
        ("Qwen/Qwen3-235B-A22B", 22),
        ("deepseek-ai/DeepSeek-V3", 37),
        ("Qwen/Qwen3-8B", 8.2),
    ],
)
def test_active_parameters_are_those_of_the_name(model: str, billions: float) -> None:
    """A token of an expert model passes the experts that it is routed to and everything that is shared."""
    assert active_parameter_count(_builtin(model)) / 1e9 == pytest.approx(billions, rel=0.03)


@pytest.mark.parametrize(
    ("model", "gigabytes"),
    [
        ("Qwen/Qwen2.5-7B-Instruct-AWQ", 5.57),
        ("Qwen/Qwen3-32B-AWQ", 19.3),
        ("Qwen/Qwen3-8B-FP8", 9.44),
        ("Qwen/Qwen3-30B-A3B-FP8", 31.2),
        ("RedHatAI/Meta-Llama-3.1-8B-Instruct-FP8-dynamic", 9.08),
        ("hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4", 39.8),
    ],
)
def test_quantised_checkpoints_have_their_published_size(model: str, gigabytes: float) -> None:
    """Weights, scales and zero points add up to the safetensors files on the hub."""
    architecture = _builtin(model)
    element = DTYPE_BYTES[architecture.dtype]
    tensors = [tensor for tensor in weight_tensors(architecture) if tensor.parameter]
    stored = sum(tensor.nbytes(element, architecture.quantization) * tensor.copies for tensor in tensors)

    assert stored / 1e9 == pytest.approx(gigabytes, rel=0.005)


def test_unknown_architecture_is_refused_by_name() -> None:
    """The message names the class, what is missing about it, and what is known."""
    with pytest.raises(UsageError, match=r"MambaForCausalLM is not known here.*missing") as refused:
        architecture_from_config(_llama(architectures=["MambaForCausalLM"]), name="some/model")

    assert "LlamaForCausalLM" in refused.value.fix


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "vocab_size", "max_position_embeddings"])
def test_missing_keys_are_named(key: str) -> None:
    """A config.json that lacks what the shape needs is refused with the key."""
    with pytest.raises(UsageError, match=f"lacks {key}"):
        architecture_from_config(_llama(**{key: ...}), name="m")


def test_no_architectures_is_refused() -> None:
    """Without the class nothing is known about the layers."""
    with pytest.raises(UsageError, match="no `architectures`"):
        architecture_from_config(_llama(architectures=...), name="m")


def test_unknown_image_encoder_is_refused() -> None:
    """A multimodal model whose encoder cannot be counted is refused rather than counted without it."""
    text = {key: value for key, value in _llama().items() if key != "architectures"}
    config = {
        "architectures": ["Mistral3ForConditionalGeneration"],
        "text_config": text,
        "vision_config": {"model_type": "novel_vit"},
    }

    with pytest.raises(UsageError, match="novel_vit"):
        architecture_from_config(config, name="m")


def test_head_dim_defaults_to_an_even_split() -> None:
    """Where config.json has no head_dim, the hidden size is divided among the heads."""
    assert architecture_from_config(_llama(), name="m").head_dim == 64
    assert architecture_from_config(_llama(head_dim=128), name="m").head_dim == 128


def test_nested_text_config_is_read_with_its_family_defaults() -> None:
    """Gemma 3's published file leaves heads and vocabulary to its configuration class."""
    config = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "text_config": {
            "hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34, "sliding_window": 1024,
            "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        },
        "torch_dtype": "bfloat16",
        "vision_config": {
            "hidden_size": 1152, "image_size": 896, "intermediate_size": 4304, "model_type": "siglip_vision_model",
            "num_attention_heads": 16, "num_hidden_layers": 27, "patch_size": 14, "vision_use_head": False,
        },
    }  # fmt: skip

    assert parameter_count(architecture_from_config(config, name="m")) == builtin_models()["google/gemma-3-4b-it"]


@pytest.mark.parametrize(
    ("model", "sliding", "full"),
    [("google/gemma-2-9b", 21, 21), ("google/gemma-3-27b-it", 52, 10), ("openai/gpt-oss-20b", 12, 12),
     ("Qwen/Qwen2.5-7B", 0, 28), ("microsoft/Phi-3-mini-4k-instruct", 32, 0)],
)  # fmt: skip
def test_sliding_layers_follow_the_family_pattern(model: str, sliding: int, full: int) -> None:
    """Alternating, five to one, none, all."""
    architecture = _builtin(model)

    assert architecture.num_sliding_layers == sliding
    assert architecture.num_hidden_layers - sliding == full


def test_layer_types_override_the_pattern() -> None:
    """A file that lists its layers' kinds is taken at its word."""
    kinds = ["sliding_attention", "full_attention", "full_attention"] * 2
    config = _llama(architectures=["Gemma2ForCausalLM"], num_hidden_layers=6, layer_types=kinds, sliding_window=512)

    assert architecture_from_config(config, name="m").num_sliding_layers == 2


@pytest.mark.parametrize(
    ("scaling", "default", "longest"),
    [
        (None, 131072, 131072),
        ({"rope_type": "llama3", "factor": 8.0}, 131072, 131072),
        ({"rope_type": "yarn", "factor": 4.0}, 131072, 131072),
        ({"type": "linear", "factor": 2.0}, 262144, 262144),
        ({"type": "longrope"}, 4096, 131072),
    ],
)
def test_context_follows_rope_scaling(scaling: dict[str, Any] | None, default: int, longest: int) -> None:
    """Linear scaling stretches the positions, longrope starts at the original ones, the others have it included."""
    config = _llama(rope_scaling=scaling, original_max_position_embeddings=4096)
    architecture = architecture_from_config(config, name="m")

    assert (architecture.max_model_len, architecture.longest_model_len) == (default, longest)


@pytest.mark.parametrize(
    ("scheme", "bits", "group"),
    [
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, 8, 128),
        ({"quant_method": "fp8"}, 8, None),
        ({"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": True}, 4, 64),
        ({"quant_method": "gptq", "bits": 8, "group_size": 128, "sym": True}, 8, 128),
        ({"quant_method": "mxfp4"}, 4, 32),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, 4, 64),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, 4, 16),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": 128, "symmetric": True}}},
            },
            4,
            128,
        ),
    ],
)
def test_quantization_config_gives_bits_and_groups(scheme: dict[str, Any], bits: int, group: int | None) -> None:
    """Each method spells the same two numbers in its own way."""
    quantization = architecture_from_config(_llama(quantization_config=scheme), name="m").quantization

    assert quantization is not None
    assert (quantization.weight_bits, quantization.group_size) == (bits, group)


def test_unknown_quantization_is_refused() -> None:
    """What a weight takes cannot be guessed from a name."""
    with pytest.raises(UsageError, match="'exotic' is not known here"):
        architecture_from_config(_llama(quantization_config={"quant_method": "exotic"}), name="m")


def test_float32_checkpoints_are_served_in_half_precision() -> None:
    """As vLLM's --dtype auto: float16 stays, everything else becomes bfloat16."""
    assert architecture_from_config(_llama(torch_dtype="float32"), name="m").dtype == "bfloat16"
    assert architecture_from_config(_llama(torch_dtype="float16"), name="m").dtype == "float16"
