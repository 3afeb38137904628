import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.perf import Shard, builtin_architecture, parameter_count, quantized, weight_bytes
from flyball.perf.architecture import ModelArchitecture
from flyball.perf.weights import allocated_bytes, padded_vocabulary, weight_bytes_by_group
from flyball.units import GIB, MIB


def _builtin(model: str) -> ModelArchitecture:
    found = builtin_architecture(model)
    assert found is not None
    return found


@given(st.integers(1, 10**10), st.booleans())
def test_allocation_is_at_least_the_request_and_wastes_little(nbytes: int, splits: bool) -> None:
    """Never less than asked for; 512 bytes more at most for small ones, below 2 MiB more for large ones."""
    allocated = allocated_bytes(nbytes, splits_large_blocks=splits)

    assert nbytes <= allocated < nbytes + (512 if nbytes <= 9 * MIB else 2 * MIB)


def test_rest_of_a_large_block_counts_only_where_it_is_not_split_off() -> None:
    """24.5 MiB take a segment of 26: the 1.5 MiB left over are lost while `max_split_size_mb` is 20."""
    assert allocated_bytes(49 * MIB // 2) == 49 * MIB // 2
    assert allocated_bytes(49 * MIB // 2, splits_large_blocks=False) == 26 * MIB
    assert allocated_bytes(63 * MIB // 2) == 32 * MIB


@pytest.mark.parametrize(
    "model", ["meta-llama/Llama-3.3-70B-Instruct", "openai/gpt-oss-20b", "deepseek-ai/DeepSeek-V3"]
)
def test_two_ranks_hold_the_whole_model(model: str) -> None:
    """Tensor parallelism halves what is split; what is replicated (norms, router, latent) is small."""
    whole, half = weight_bytes(_builtin(model)), weight_bytes(_builtin(model), Shard(tensor_parallel_size=2))

    assert whole / 2 <= half < whole * 0.53


def test_kv_heads_are_replicated_when_ranks_outnumber_them() -> None:
    """Qwen2.5-7B has 4 KV heads: each of 7 x 4 = 28 / 7 query heads' ranks keeps a whole one."""
    model = _builtin("Qwen/Qwen2.5-7B-Instruct")

    assert model.kv_heads_per_rank(2) == 2
    assert model.kv_heads_per_rank(4) == model.kv_heads_per_rank(28) == 1


def test_stages_of_a_pipeline_add_up() -> None:
    """Every layer is on one stage; the embedding on the first, the output head on the last."""
    model = _builtin("meta-llama/Llama-3.1-8B")
    shards = [Shard(pipeline_parallel_size=3, stage=stage) for stage in range(3)]

    layers = [layer for shard in shards for layer in shard.layers(model.num_hidden_layers)]
    tables = weight_bytes_by_group(model)["tables"]
    assert layers == list(range(32))
    assert [len(shard.layers(32)) for shard in shards] == [11, 11, 10]
    assert sum(weight_bytes(model, shard) - tables for shard in shards) == weight_bytes(model) - tables


def test_the_remainder_of_layers_goes_to_the_stages_before_the_last() -> None:
    """As vLLM's `get_pp_indices` has it: 30 layers on 4 stages are 7, 8, 8, 7."""
    shards = [Shard(pipeline_parallel_size=4, stage=stage) for stage in range(4)]

    assert [len(shard.layers(30)) for shard in shards] == [7, 8, 8, 7]


@pytest.mark.parametrize(("method", "share"), [("fp8", 0.5), ("int8", 0.5), ("awq", 0.25), ("gptq", 0.25)])
def test_quantisation_shrinks_the_linear_layers_only(method: str, share: float) -> None:
    """Attention and MLP shrink to the share of bits plus scales; embedding, head and norms stay."""
    model = _builtin("Qwen/Qwen3-32B")
    before, after = weight_bytes_by_group(model), weight_bytes_by_group(quantized(model, method))

    linear_before, linear_after = (groups["attention"] + groups["mlp"] for groups in (before, after))
    assert share < linear_after / linear_before < share * 1.06
    assert {group: after[group] for group in ("embedding", "output", "norms")} == {
        group: before[group] for group in ("embedding", "output", "norms")
    }


def test_a_quantised_checkpoint_keeps_its_own_scheme() -> None:
    """`--quantization fp8` of gpt-oss, which is MXFP4, changes nothing."""
    model = _builtin("openai/gpt-oss-20b")

    assert quantized(model, "fp8") == model


def test_expert_parallelism_deals_out_whole_experts() -> None:
    """The same bytes a rank as slicing every expert, where the number of experts divides."""
    model = _builtin("Qwen/Qwen3-30B-A3B")
    sliced = weight_bytes(model, Shard(tensor_parallel_size=4))
    dealt = weight_bytes(model, Shard(tensor_parallel_size=4, enable_expert_parallel=True))

    assert dealt == pytest.approx(sliced, rel=1e-3)


def test_vocabulary_is_padded_to_64() -> None:
    """Llama's 128,256 is a multiple; gpt-oss's 201,088 too; 49,155 would become 49,216."""
    assert padded_vocabulary(_builtin("meta-llama/Llama-3.1-8B")) == 128256
    assert padded_vocabulary(_builtin("microsoft/Phi-3-mini-4k-instruct")) == 32064
    assert padded_vocabulary(_builtin("google/gemma-3-27b-it")) == 262208


def test_llama_70b_takes_141_gigabytes() -> None:
    """The known answer: 70.6 billion parameters of two bytes."""
    model = _builtin("meta-llama/Llama-3-70B-Instruct")

    assert weight_bytes(model) / 1e9 == pytest.approx(141, abs=0.5)
    assert weight_bytes(model) == pytest.approx(2 * parameter_count(model), rel=1e-3)


def test_latent_attention_keeps_its_up_projections_twice() -> None:
    """DeepSeek-V2-Lite prints 29.43 GiB: more than two bytes for each parameter, by the decode path's copies."""
    model = _builtin("deepseek-ai/DeepSeek-V2-Lite-Chat")

    assert 2 * parameter_count(model) / GIB == pytest.approx(29.26, abs=0.01)
    assert weight_bytes(model) / GIB == pytest.approx(29.43, abs=0.03)
