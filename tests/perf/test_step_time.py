import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball.catalog import load_catalog
from flyball.perf import builtin_architecture, parameter_count
from flyball.perf.efficiency import Efficiency
from flyball.perf.step_costs import rates
from flyball.perf.step_model import StepModel
from flyball.perf.step_time import Batch, StepTime, prompt_pairs
from measured_engines import LLAMA, engine, step_model

_MODELS = (
    LLAMA,
    "Qwen/Qwen3-30B-A3B",
    "google/gemma-3-27b-it",
    "openai/gpt-oss-20b",
    "deepseek-ai/DeepSeek-V2-Lite",
)
_PERFECT = Efficiency(
    compute=1, memory=1, expert_compute=1, step_s_per_layer=0, expert_s_per_layer=0, allreduce_s=0, interconnect=1,
    host_s=0, launch_s_per_layer=0, eager_launch_s_per_layer=0, request_s=0, token_s=0, delivery_s=0,
)  # fmt: skip
_models = st.sampled_from(_MODELS)
_prompts = st.integers(0, 8192)
_sequences = st.integers(0, 256)
_length = st.integers(1, 8192)


def _batch(prompt: int, sequences: int, length: int) -> Batch:
    return Batch(
        prefill_tokens=prompt,
        prefill_pairs=prompt_pairs(prompt),
        prefill_sequences=1 if prompt else 0,
        decode_sequences=sequences,
        context_tokens=sequences * length,
    )


def _decode(model: StepModel, sequences: int = 1, length: int = 512) -> StepTime:
    return model.time(_batch(0, sequences, length))


@settings(deadline=None)
@given(model=_models, prompt=_prompts, sequences=_sequences, length=_length, more=st.integers(1, 64))
def test_more_work_takes_no_less_time(model: str, prompt: int, sequences: int, length: int, more: int) -> None:
    """Adding prompt tokens, sequences or context to a batch never shortens the device's step."""
    if prompt + sequences == 0:
        sequences = 1
    step = step_model(model)
    base = step.time(_batch(prompt, sequences, length)).device_s
    assert step.time(_batch(prompt + more, sequences, length)).device_s >= base
    assert step.time(_batch(prompt, sequences + more, length)).device_s >= base
    assert step.time(_batch(prompt, sequences, length + more)).device_s >= base


@settings(deadline=None)
@given(model=_models, prompt=_prompts, sequences=_sequences, length=_length)
def test_no_step_beats_the_data_sheet(model: str, prompt: int, sequences: int, length: int) -> None:
    """With the typical factors nothing is faster than with all of them at what the data sheet promises."""
    if prompt + sequences == 0:
        prompt = 1
    batch = _batch(prompt, sequences, length)
    assert step_model(model).time(batch).seconds >= step_model(model, efficiency=_PERFECT).time(batch).seconds


def test_one_sequence_reads_all_weights() -> None:
    """A perfect H200 decodes Llama-3.1-8B in no less than its 15 GB of layers and head at 4.8 TB/s, and little more."""
    architecture = builtin_architecture(LLAMA)
    assert architecture is not None
    read = 2 * (parameter_count(architecture) - architecture.vocab_size * architecture.hidden_size)
    floor_s = read / 4.8e12
    assert floor_s <= _decode(step_model(efficiency=_PERFECT)).seconds <= 1.02 * floor_s


def test_a_long_prompt_runs_at_the_peak_rate() -> None:
    """A perfect H200: 2 FLOPs a parameter and token, 4 an element of the queries and pair, at 989 TFLOP/s."""
    architecture = builtin_architecture(LLAMA)
    assert architecture is not None
    layers = parameter_count(architecture) - 2 * architecture.vocab_size * architecture.hidden_size
    flops = 2 * layers * 8192 + 4 * 32 * 4096 * 8192**2 / 2
    seconds = step_model(efficiency=_PERFECT).time(_batch(8192, 0, 1)).seconds
    assert seconds == pytest.approx(flops / 989e12, rel=0.01)


def test_a_step_says_what_bounds_it() -> None:
    """One sequence is bound by memory, a long prompt by compute, eager decoding by the host, a crowd by delivery."""
    assert _decode(step_model()).bound == "memory"
    assert step_model().time(_batch(8192, 0, 1)).bound == "compute"
    assert _decode(step_model(enforce_eager=True)).bound == "host"
    assert _decode(step_model(max_num_seqs=1024), sequences=512, length=64).bound == "delivery"


def test_each_sequence_costs_the_host() -> None:
    """Its place in the batch takes the same time whether its prompt or its answer is computed."""
    model = step_model(efficiency=Efficiency(host_s=1e-3, sequence_s=1e-5))
    assert model.host(0, 0, 100)[0] == pytest.approx(2e-3)
    assert model.host(500, 60, 40)[0] == pytest.approx(2e-3)


def test_graphs_cover_small_batches_only() -> None:
    """Without a graph a step pays for its launches: always when eager, else beyond the largest capture size."""
    model = step_model(max_num_seqs=64)
    assert model.host(0, 0, 64)[1] == 0
    assert 0 < model.host(120, 1, 8)[1] < model.host(121, 1, 8)[1] == model.host(8000, 1, 64)[1]
    assert step_model(enforce_eager=True).host(0, 0, 1)[1] > 0
    assert step_model(max_cudagraph_capture_size=32).host(0, 0, 33)[1] > 0


@pytest.mark.parametrize("method", ["fp8", "awq"])
def test_quantised_weights_decode_faster(method: str) -> None:
    """Fewer bytes a weight are read in less time; the output head stays as it is."""
    full, small = _decode(step_model()), _decode(step_model(quantization=method))
    bits = {"fp8": 8, "awq": 4}[method]
    assert bits / 16 * full.memory_s < small.memory_s < full.memory_s


def test_fp8_doubles_the_rate_of_prompts_only_where_the_chip_computes_in_it() -> None:
    """Hopper multiplies fp8 at twice the rate; an A100 widens it first."""
    prompt = _batch(512, 0, 1)
    for chip, ratio in (("H100", 0.5), ("A100-80GB", 1.0)):
        full = step_model(chip=chip, efficiency=_PERFECT).time(prompt).compute_s
        fp8 = step_model(chip=chip, quantization="fp8", efficiency=_PERFECT).time(prompt).compute_s
        assert fp8 / full == pytest.approx(ratio, abs=0.05)


@pytest.mark.parametrize(
    ("checkpoint", "factor"),
    [("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int8", 1), ("Qwen/Qwen2.5-7B-Instruct-AWQ", 1), ("Qwen/Qwen3-8B-FP8", 2)],
)
def test_integers_are_widened_before_they_are_multiplied(checkpoint: str, factor: int) -> None:
    """Eight bits of GPTQ are read faster, not computed faster; those of fp8 are both."""
    architecture = builtin_architecture(checkpoint)
    assert architecture is not None
    reached = rates(load_catalog().accelerator("H100"), architecture.quantization, Efficiency())

    assert reached.quantized_flops_per_s == pytest.approx(factor * reached.flops_per_s, rel=0.01)


def test_a_mixture_reads_the_experts_it_touches() -> None:
    """One token of Qwen3-30B-A3B reads 3 of 30 billion parameters, a large batch all of them."""
    model = step_model("Qwen/Qwen3-30B-A3B", efficiency=_PERFECT)
    one, many = _decode(model, length=1).memory_s, _decode(model, sequences=512, length=1).memory_s
    assert one < 0.15 * many
    assert many * 4.8e12 == pytest.approx(2 * 30e9, rel=0.03)


def test_sliding_layers_read_no_more_than_their_window() -> None:
    """Beyond 1,024 tokens only the full layers of Gemma 3, one in six, cost more."""
    model = step_model("google/gemma-3-27b-it", efficiency=_PERFECT)
    short, window, long = (_decode(model, 16, length).memory_s for length in (24, 1024, 2024))
    assert (long - window) / (window - short) == pytest.approx(10 / 62, rel=0.01)


def test_tensor_parallelism_divides_the_bytes_and_adds_messages() -> None:
    """Two GPUs read half each, but not in half the time."""
    one = _decode(step_model("meta-llama/Llama-3.3-70B-Instruct", quantization="fp8"))
    two = _decode(step_model("meta-llama/Llama-3.3-70B-Instruct", quantization="fp8", tensor_parallel_size=2))
    assert two.memory_s == pytest.approx(one.memory_s / 2, rel=0.01)
    assert one.communication_s == 0 < two.communication_s
    assert one.device_s / 2 < two.device_s < one.device_s


def test_an_fp8_cache_halves_what_context_costs() -> None:
    """The slope over context is that of bytes."""

    def slope(kv_cache_dtype: str) -> float:
        model = step_model(efficiency=_PERFECT, kv_cache_dtype=kv_cache_dtype)
        return _decode(model, 8, 4000).device_s - _decode(model, 8, 2000).device_s

    assert slope("fp8") == pytest.approx(slope("auto") / 2)


def test_breakdown_adds_up() -> None:
    """The parts of the device's time are together no less than it, and no part is longer than it."""
    time = step_model(tensor_parallel_size=2).time(_batch(512, 64, 800))
    parts = (time.compute_s, time.memory_s, time.communication_s, time.overhead_s)
    assert max(parts) < time.device_s < sum(parts)


def test_pipelines_are_refused() -> None:
    """A model that cannot say something says so."""
    known = engine(pipeline_parallel_size=2)
    with pytest.raises(ValueError, match="pipeline"):
        StepModel(known.model, load_catalog().accelerator("H200"), known.settings, Efficiency())
