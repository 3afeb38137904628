import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball.errors import UsageError
from flyball.perf import MemoryCorrection, memory_budget, memory_settings
from flyball.units import GIB
from recorded_boots import Boot, architecture, boots, budget, device, name_of, predicted

_LLAMA = "meta-llama/Llama-3.1-8B"
_MODELS = (_LLAMA, "Qwen/Qwen3-30B-A3B", "google/gemma-2-9b", "openai/gpt-oss-20b", "deepseek-ai/DeepSeek-V2-Lite")


@pytest.mark.parametrize("boot", [boot for boot in boots() if "tokens" in boot], ids=name_of)
def test_kv_tokens_are_those_of_recorded_starts(boot: Boot) -> None:
    """Within 1 % of what vLLM printed, over models, flags, quantisation, chips and versions."""
    assert predicted(boot).kv_cache.tokens == pytest.approx(boot["tokens"], rel=0.01)


def _printing(figure: str) -> list[Boot]:
    """Starts that printed it for the rank that the budget is of: with a pipeline each rank prints its own."""
    return [boot for boot in boots() if figure in boot and "pipeline_parallel_size" not in boot["engine"]]


@pytest.mark.parametrize("boot", _printing("available_gib"), ids=name_of)
def test_pool_is_that_of_recorded_starts(boot: Boot) -> None:
    """Within 1 % or 0.05 GiB of "Available KV cache memory"."""
    found = predicted(boot).kv_cache.available_bytes / GIB

    assert found == pytest.approx(boot["available_gib"], rel=0.01, abs=0.05)


@pytest.mark.parametrize("boot", [boot for boot in boots() if "weights_gib" in boot], ids=name_of)
def test_weights_are_those_of_recorded_starts(boot: Boot) -> None:
    """Within 1 % of "Model loading took" (4-bit checkpoints differ in small tables)."""
    assert predicted(boot).weights_bytes / GIB == pytest.approx(boot["weights_gib"], rel=0.01)


@pytest.mark.parametrize("boot", _printing("activation_gib"), ids=name_of)
def test_activation_is_that_of_recorded_starts(boot: Boot) -> None:
    """Within 4 % of "peak activation", whichever moment of the run it comes from."""
    assert predicted(boot).activation_bytes / GIB == pytest.approx(boot["activation_gib"], rel=0.04)


@pytest.mark.parametrize("boot", [boot for boot in boots() if "concurrency" in boot], ids=name_of)
def test_concurrency_is_that_of_recorded_starts(boot: Boot) -> None:
    """Within 1 % of "Maximum concurrency", sliding-window models included."""
    assert predicted(boot).kv_cache.max_concurrency == pytest.approx(boot["concurrency"], rel=0.01)


def test_a_70b_model_does_not_fit_one_a100() -> None:
    """The known answer: 141 GB of weights against 80."""
    found = budget("meta-llama/Llama-3-70B-Instruct", "A100-80GB")

    assert not found.fits
    assert found.weights_bytes / 1e9 == pytest.approx(141, abs=0.5)
    assert found.used_bytes > found.requested_bytes


def test_an_8b_model_leaves_some_30_000_tokens_on_an_a10g() -> None:
    """The known answer, for the version before graphs were subtracted; 256 such sequences have 120 tokens each."""
    found = budget("meta-llama/Llama-3-8B", "A10G", max_model_len=4096, gpu_memory_utilization=0.9)

    assert found.kv_cache.tokens == pytest.approx(30_000, rel=0.05)
    assert 32 < found.kv_cache.concurrency(700) < 64 < found.settings.max_num_seqs == 256


@pytest.mark.parametrize("length", [2048, 8192, 32768, 131072])
def test_the_pool_does_not_depend_on_max_model_len(length: int) -> None:
    """Nothing is reserved by request: 896,912 tokens were measured at 8,192 and at 32,768."""
    found = budget(_LLAMA, "H200", max_model_len=length, max_num_seqs=256, gpu_memory_utilization=0.9)

    assert found.kv_cache.tokens == pytest.approx(896_912, rel=0.001)


@settings(max_examples=60, deadline=None)
@given(
    model=st.sampled_from(_MODELS),
    version=st.sampled_from(["0.16.0", "0.19.0", "0.26.0", "0.32.0"]),
    tokens=st.integers(256, 16384),
    seqs=st.integers(1, 1024),
    more=st.integers(1, 4096),
)
def test_larger_batches_never_leave_more(model: str, version: str, tokens: int, seqs: int, more: int) -> None:
    """More tokens a step or more sequences never shrink what the engine takes for itself."""

    def used(tokens: int, seqs: int) -> int:
        return budget(model, "H200", version, max_num_batched_tokens=tokens, max_num_seqs=seqs).used_bytes

    assert used(tokens, seqs) <= used(tokens + more, seqs)
    assert used(tokens, seqs) <= used(tokens, seqs + more)


@settings(max_examples=40, deadline=None)
@given(model=st.sampled_from(_MODELS), share=st.floats(0.5, 0.97), more=st.floats(0.005, 0.03))
def test_a_larger_share_goes_to_the_pool(model: str, share: float, more: float) -> None:
    """Every byte of a larger `gpu_memory_utilization` is KV cache."""
    less, larger = (budget(model, "H200", gpu_memory_utilization=each) for each in (share, share + more))

    gained = larger.kv_cache.available_bytes - less.kv_cache.available_bytes
    assert gained == larger.requested_bytes - less.requested_bytes


@pytest.mark.parametrize("model", [_LLAMA, "meta-llama/Llama-3.3-70B-Instruct"])
def test_tensor_parallelism_halves_the_bytes_of_a_token(model: str) -> None:
    """Each rank caches its share of the heads."""
    one, two = (budget(model, "H200", tensor_parallel_size=ranks).kv_cache.bytes_per_token for ranks in (1, 2))

    assert one == 2 * two


def test_latent_cache_is_whole_on_every_rank() -> None:
    """MLA caches one latent for all heads: 61 layers x 576 elements x 2 bytes whatever the ranks."""
    for ranks in (8, 16):
        found = budget("deepseek-ai/DeepSeek-V3", "H200", tensor_parallel_size=ranks)
        assert found.kv_cache.bytes_per_token == 61 * 576 * 2


def test_fp8_cache_holds_twice_the_tokens() -> None:
    """The pool stays, each token takes half."""
    plain, fp8 = (budget(_LLAMA, "H100", kv_cache_dtype=dtype) for dtype in ("auto", "fp8"))

    assert plain.kv_cache.available_bytes == fp8.kv_cache.available_bytes
    assert fp8.kv_cache.num_blocks == pytest.approx(2 * plain.kv_cache.num_blocks, abs=1)


def test_a_fixed_cache_is_taken_as_it_is() -> None:
    """`kv_cache_memory_bytes` bypasses the subtraction."""
    assert budget(_LLAMA, "H200", kv_cache_memory_bytes=8 * GIB).kv_cache.tokens == 8 * GIB // 131072


def test_graphs_are_subtracted_from_the_version_that_does() -> None:
    """0.26 captures them beside the pool (and so does eager mode without any), 0.32 out of it."""
    beside, within = budget(_LLAMA, "H200", "0.26.0"), budget(_LLAMA, "H200", "0.32.0")
    eager = budget(_LLAMA, "H200", "0.32.0", enforce_eager=True)

    assert not beside.cuda_graphs_subtracted
    assert within.cuda_graphs_subtracted
    assert beside.cuda_graph_bytes == within.cuda_graph_bytes > 0 == eager.cuda_graph_bytes
    assert within.used_bytes >= beside.used_bytes + within.cuda_graph_bytes


@pytest.mark.parametrize(("ranks", "words"), [(3, "do not split over 3"), (64, "do not split over 64")])
def test_impossible_splits_are_refused(ranks: int, words: str) -> None:
    """As vLLM refuses them."""
    with pytest.raises(UsageError, match=words):
        budget(_LLAMA, "H200", tensor_parallel_size=ranks)
    with pytest.raises(UsageError, match="32 layers do not split over 33"):
        budget(_LLAMA, "H200", pipeline_parallel_size=33)


def test_correction_moves_the_terms_it_names() -> None:
    """What a start showed is added to the terms, and the pool moves by their sum."""
    model, chip = architecture(_LLAMA), device("H200")
    flags = memory_settings({}, architecture=model, device=chip, version="0.26.0")
    shown = MemoryCorrection(weights_bytes=GIB, non_torch_bytes=-GIB // 4, activation_factor=2.0)
    plain = memory_budget(model, device=chip, settings=flags, version="0.26.0")
    corrected = memory_budget(model, device=chip, settings=flags, version="0.26.0", correction=shown)

    moved = plain.kv_cache.available_bytes - corrected.kv_cache.available_bytes
    assert moved == GIB - GIB // 4 + plain.activation_bytes
