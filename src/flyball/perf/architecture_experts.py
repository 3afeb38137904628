"""Reads the experts of a `config.json`: each family has its own names for the same five numbers."""

from flyball.perf.architecture import MixtureOfExperts
from flyball.perf.architecture_keys import ConfigKeys


def read_experts(text: ConfigKeys, *, architecture: str) -> MixtureOfExperts | None:
    """The experts of a decoder's configuration, None for a dense model."""
    layers = text.count("num_hidden_layers")
    if architecture == "MixtralForCausalLM":
        return MixtureOfExperts(
            num_experts=text.count("num_local_experts"),
            num_experts_per_tok=text.count("num_experts_per_tok"),
            moe_intermediate_size=text.count("intermediate_size"),
            num_moe_layers=layers,
        )
    if architecture == "GptOssForCausalLM":
        return MixtureOfExperts(
            num_experts=text.count("num_local_experts", "num_experts"),
            num_experts_per_tok=text.count("num_experts_per_tok", "experts_per_token"),
            moe_intermediate_size=text.count("intermediate_size"),
            num_moe_layers=layers,
            expert_bias=True,
            router_bias=True,
        )
    if architecture in ("Qwen2MoeForCausalLM", "Qwen3MoeForCausalLM"):
        has_shared = architecture.startswith("Qwen2")
        shared = text.count("shared_expert_intermediate_size", default=0, least=0) if has_shared else 0
        return MixtureOfExperts(
            num_experts=text.count("num_experts"),
            num_experts_per_tok=text.count("num_experts_per_tok"),
            moe_intermediate_size=text.count("moe_intermediate_size"),
            num_moe_layers=_sparse_layers(text, layers),
            shared_intermediate_size=shared,
            shared_gate=shared > 0,
        )
    if architecture.startswith("Deepseek") and text.count("n_routed_experts", default=0, least=0):
        width = text.count("moe_intermediate_size")
        return MixtureOfExperts(
            num_experts=text.count("n_routed_experts"),
            num_experts_per_tok=text.count("num_experts_per_tok"),
            moe_intermediate_size=width,
            num_moe_layers=max(0, layers - text.count("first_k_dense_replace", default=0, least=0)),
            shared_intermediate_size=width * text.count("n_shared_experts", default=0, least=0),
            router_bias=architecture == "DeepseekV3ForCausalLM",
        )
    return None


def _sparse_layers(text: ConfigKeys, layers: int) -> int:
    """Layers with experts: every `decoder_sparse_step`th that `mlp_only_layers` does not name."""
    step = text.count("decoder_sparse_step", default=1)
    dense = {layer for layer in text.items("mlp_only_layers") if layer in range(step - 1, layers, step)}
    return layers // step - len(dense)
