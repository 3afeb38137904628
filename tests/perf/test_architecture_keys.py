"""Configurations that are damaged, old or new: read, or refused by the key that is wrong, never a traceback."""

import json
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball.errors import UsageError
from flyball.perf import architecture_from_config

TABLE = json.loads((files("flyball.perf") / "architecture_data" / "models.json").read_text())["models"]
CONFIGS = [entry["config"] for entry in TABLE]
JUNK = st.sampled_from([None, 0, -1, 7, 10**9, 1.5, True, "x", "12", [], [1, 2], {}, {"a": 1}])


def _published(model: str, **changes: Any) -> dict[str, Any]:
    config: dict[str, Any] = next(entry["config"] for entry in TABLE if model in entry["ids"])
    return {**config, **changes}


@given(config=st.sampled_from(CONFIGS), junk=st.data(), times=st.integers(1, 3))
@settings(deadline=None, max_examples=60)
def test_any_damage_is_read_or_refused_by_name(config: dict[str, Any], junk: st.DataObject, times: int) -> None:
    """Values of any kind in any place, nested ones too: an architecture of positive sizes, or one line of why not."""
    broken = json.loads(json.dumps(config))
    sections = [broken, *(value for value in broken.values() if isinstance(value, dict))]
    for _ in range(times):
        section = junk.draw(st.sampled_from(sections))
        section[junk.draw(st.sampled_from(sorted(section)))] = junk.draw(JUNK)
    try:
        found = architecture_from_config(broken, name="my/model")
    except UsageError as error:
        refusal = error
    else:
        sizes = (found.hidden_size, found.num_hidden_layers, found.head_dim, found.num_key_value_heads)
        assert min(sizes) > 0
        return
    assert refusal.what.startswith("my/model")
    assert "\n" not in refusal.what
    assert refusal.fix


@pytest.mark.parametrize(
    ("model", "changes", "what"),
    [
        ("meta-llama/Llama-3.1-8B", {"hidden_size": "4096"}, "hidden_size: 4096 must be an integer from 1 on"),
        ("meta-llama/Llama-3.1-8B", {"num_key_value_heads": 0}, "num_key_value_heads: 0 must be an integer"),
        ("meta-llama/Llama-3.1-8B", {"rope_scaling": "linear"}, "rope_scaling: linear must be a mapping"),
        ("meta-llama/Llama-3.1-8B", {"quantization_config": "awq"}, "quantization_config: awq must be a mapping"),
        ("Qwen/Qwen3-30B-A3B", {"num_experts": None}, "lacks num_experts"),
        ("openai/gpt-oss-20b", {"num_experts_per_tok": None}, "lacks num_experts_per_tok or experts_per_token"),
        ("deepseek-ai/DeepSeek-V3", {"v_head_dim": None}, "lacks v_head_dim"),
        ("meta-llama/Llama-3.1-8B", {"quantization_config": {"quant_method": "gptq", "bits": 5}}, "bits: 5 bits"),
    ],
)
def test_the_key_is_named(model: str, changes: dict[str, Any], what: str) -> None:
    """What is missing or wrong, under the name that it has in the file."""
    with pytest.raises(UsageError) as refusal:
        architecture_from_config(_published(model, **changes), name="m")
    assert what in refusal.value.what


@pytest.mark.parametrize(
    ("scheme", "method", "bits", "group"),
    [
        ({"quant_method": "awq", "w_bit": 4, "q_group_size": 64}, "awq", 4, 64),
        ({"quant_method": "gptq", "bits": 4, "group_size": -1}, "gptq", 4, None),
        ({"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0}, "fp8", 8, None),
        ({"quant_algo": "FP8"}, "fp8", 8, None),
        (
            {
                "quant_method": "compressed-tensors",
                "format": "nvfp4-pack-quantized",
                "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "float", "group_size": 16}}},
            },
            "modelopt",
            4,
            16,
        ),
        (
            {
                "quant_method": "compressed-tensors",
                "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float", "strategy": "channel"}}},
            },
            "compressed-tensors",
            8,
            None,
        ),
    ],
)
def test_spellings_of_quantisation(scheme: dict[str, Any], method: str, bits: int, group: int | None) -> None:
    """Old AWQ files, whole rows, Meta's own fp8, ModelOpt without its name, and floats of compressed-tensors."""
    config = _published("meta-llama/Llama-3.1-8B", quantization_config=scheme)
    quantization = architecture_from_config(config, name="m").quantization
    assert quantization is not None
    assert (quantization.method, quantization.weight_bits, quantization.group_size) == (method, bits, group)


def test_rope_parameters_of_transformers_5() -> None:
    """Each kind of layer has its own there; the ones that attend to everything decide, as they did before."""
    published = _published("google/gemma-3-1b-it")
    nested = {"full_attention": {"rope_type": "default"}, "sliding_attention": {"rope_type": "default"}}
    old = {key: value for key, value in published.items() if key != "rope_scaling"}
    assert architecture_from_config({**old, "rope_parameters": nested}, name="m") == architecture_from_config(
        old, name="m"
    )
    linear = {**nested, "full_attention": {"rope_type": "linear", "factor": 8.0}}
    stretched = architecture_from_config({**old, "rope_parameters": linear}, name="m")
    assert stretched == architecture_from_config({**old, "rope_scaling": linear["full_attention"]}, name="m")


def test_a_long_context_may_name_its_origin_within_the_scaling() -> None:
    """Phi-3's 128k file, as older and newer versions of transformers write it."""
    published = _published("microsoft/Phi-3-mini-128k-instruct")
    origin = published["original_max_position_embeddings"]
    moved = {key: value for key, value in published.items() if key != "original_max_position_embeddings"}
    moved["rope_scaling"] = {**published["rope_scaling"], "original_max_position_embeddings": origin}
    assert architecture_from_config(moved, name="m") == architecture_from_config(published, name="m")
