"""Reads the experts of a `config.json`: each family has its own names for the same five numbers."""

from collections.abc import Mapping
from typing import Any

from flyball.perf.architecture import MixtureOfExperts


def read_experts(text: Mapping[str, Any], *, architecture: str) -> MixtureOfExperts | None:
    """The experts of a decoder's configuration, None for a dense model."""
    layers = int(text["num_hidden_layers"])
    if architecture == "MixtralForCausalLM":
        return MixtureOfExperts(
            num_experts=text["num_local_experts"],
            num_experts_per_tok=text["num_experts_per_tok"],
            moe_intermediate_size=text["intermediate_size"],
            num_moe_layers=layers,
        )
    if architecture == "GptOssForCausalLM":
        return MixtureOfExperts(
            num_experts=text.get("num_local_experts") or text["num_experts"],
            num_experts_per_tok=text.get("num_experts_per_tok") or text["experts_per_token"],
            moe_intermediate_size=text["intermediate_size"],
            num_moe_layers=layers,
            expert_bias=True,
            router_bias=True,
        )
    if architecture in ("Qwen2MoeForCausalLM", "Qwen3MoeForCausalLM"):
        shared = int(text.get("shared_expert_intermediate_size") or 0) if architecture.startswith("Qwen2") else 0
        return MixtureOfExperts(
            num_experts=text["num_experts"],
            num_experts_per_tok=text["num_experts_per_tok"],
            moe_intermediate_size=text["moe_intermediate_size"],
            num_moe_layers=_sparse_layers(text, layers),
            shared_intermediate_size=shared,
            shared_gate=shared > 0,
        )
    if architecture.startswith("Deepseek") and text.get("n_routed_experts"):
        return MixtureOfExperts(
            num_experts=text["n_routed_experts"],
            num_experts_per_tok=text["num_experts_per_tok"],
            moe_intermediate_size=text["moe_intermediate_size"],
            num_moe_layers=layers - int(text.get("first_k_dense_replace") or 0),
            shared_intermediate_size=text["moe_intermediate_size"] * int(text.get("n_shared_experts") or 0),
            router_bias=architecture == "DeepseekV3ForCausalLM",
        )
    return None


def _sparse_layers(text: Mapping[str, Any], layers: int) -> int:
    """Layers with experts: every `decoder_sparse_step`th that `mlp_only_layers` does not name."""
    step = int(text.get("decoder_sparse_step") or 1)
    dense = set(text.get("mlp_only_layers") or ())
    return sum(layer not in dense and (layer + 1) % step == 0 for layer in range(layers))
