from collections.abc import Callable
from pathlib import Path

import pytest

from flyball.errors import UsageError
from flyball.perf import BootLog, parse_boot_log
from recorded_boots import DATA


def _read(name: str) -> BootLog:
    return parse_boot_log((DATA / name).read_text(), source=name)


def test_a_start_of_0_19_is_read() -> None:
    """Every figure of the summary, and the flags that the engine resolved."""
    log = _read("boot-0.19-h100.log")

    assert (log.version, log.model, log.device) == ("0.19.0", "meta-llama/Llama-3.1-8B-Instruct", "GPU")
    assert (log.weights_gib, log.activation_gib, log.non_torch_gib) == (14.99, 1.89, 0.25)
    assert (log.cuda_graph_gib, log.cuda_graph_estimate_gib) == (0.91, 0.84)
    assert (log.total_gib, log.requested_gib, log.available_kv_gib) == (79.19, 75.23, 58.11)
    assert (log.kv_cache_tokens, log.max_concurrency) == (476_016, 58.11)
    assert log.engine == {
        "max_model_len": 8192, "gpu_memory_utilization": 0.95, "tensor_parallel_size": 1, "pipeline_parallel_size": 1,
        "dtype": "bfloat16", "enforce_eager": False, "kv_cache_dtype": "auto", "max_num_batched_tokens": 8192,
        "max_num_seqs": 1024,
    }  # fmt: skip


def test_a_start_of_0_31_is_read() -> None:
    """Later versions print consumed memory in one figure, and tokens and concurrency in one line."""
    log = _read("boot-0.31-a100.log")

    assert (log.version, log.consumed_gib, log.non_torch_gib) == ("0.31.0", 15.26, None)
    assert (log.activation_gib, log.cuda_graph_gib) == (1.44, 0.23)
    assert (log.kv_cache_tokens, log.max_concurrency) == (460_496, 3.51)
    assert log.engine == {}


def test_a_start_on_a_cpu_is_read() -> None:
    """A real start of vLLM 0.32's CPU build."""
    log = _read("boot-0.32-cpu.log")

    assert (log.version, log.device, log.kv_cache_tokens) == ("0.32.0", "CPU", 23_296)
    assert log.engine["max_num_seqs"] == 8
    assert log.engine["enforce_eager"] is True


def test_smallest_pool_of_several_workers_counts() -> None:
    """Each worker prints its own; the cache is as large as the smallest allows."""
    text = (
        "(Worker_TP1 pid=2) INFO [gpu_worker.py:692] Available KV cache memory: 17.73 GiB\n"
        "(Worker_TP0 pid=1) INFO [gpu_worker.py:692] Available KV cache memory: 17.79 GiB\n"
    )

    assert parse_boot_log(text, source="log").available_kv_gib == 17.73


def test_a_start_that_failed_still_says_what_there_was() -> None:
    """The error names the pool that was too small."""
    text = (
        "INFO [model_runner.py:425] Model loading took 67.82 GiB memory and 60.1 seconds\n"
        "DEBUG [gpu_worker.py:539] worker requested memory: 75.23GiB\n"
        "ValueError: To serve at least one request with the model's max seq len (131072), (40.0 GiB KV cache is needed,"
        " which is larger than the available KV cache memory (3.02 GiB). Based on the available memory,\n"
    )
    log = parse_boot_log(text, source="log")

    assert (log.available_kv_gib, log.weights_gib, log.requested_gib) == (3.02, 67.82, 75.23)
    assert log.kv_cache_tokens is None


@pytest.mark.parametrize(
    "line",
    [
        "Model loading took 14.9889 GiB and 8.3 seconds",
        "Model loading took 14.9889 GiB memory and 8.3 seconds",
    ],
)
def test_wordings_of_earlier_versions_are_read(line: str) -> None:
    """0.10 printed four decimals and left out a word."""
    log = parse_boot_log(f"{line}\nGPU KV cache size: 41,408 tokens\n", source="log")

    assert (log.weights_gib, log.kv_cache_tokens) == (14.9889, 41_408)


def test_arguments_that_are_no_literals_do_not_hide_the_others() -> None:
    """An enumeration or a path among the arguments is skipped, the plain flags are kept."""
    text = (
        "non-default args: {'model': 'a/b', 'max_num_seqs': 64, 'compilation_config': <CompilationMode.NONE: 0>,"
        " 'enforce_eager': True, 'gpu_memory_utilization': 0.85}\nGPU KV cache size: 16 tokens\n"
    )
    log = parse_boot_log(text, source="log")

    assert log.engine == {"max_num_seqs": 64, "enforce_eager": True, "gpu_memory_utilization": 0.85}
    assert log.model == "a/b"


def test_any_other_text_is_refused(tmp_path: Path) -> None:
    """The message names the file and says what is wanted."""
    with pytest.raises(UsageError, match=r"notes\.txt: no vLLM start-up log") as refused:
        parse_boot_log("it was a dark and stormy night", source="notes.txt")

    assert "vllm serve" in refused.value.fix


def _start(tokens: int, version: str = "0.19.0") -> str:
    return (
        f"(APIServer pid=1) INFO 04-22 00:03:35 [utils.py:299]   █▄█▀ █     █     █ ▀▄▀ █  version {version}\n"
        "(EngineCore pid=2) INFO 04-22 00:03:40 [nccl.py:1] vLLM is using NCCL version 2.27.5\n"
        "(EngineCore pid=2) INFO 04-22 00:04:02 [runner.py:4820] Model loading took 14.99 GiB memory and 14.4 seconds\n"
        f"(EngineCore pid=2) INFO 04-22 00:04:20 [kv.py:1319] GPU KV cache size: {tokens:,} tokens\n"
    )


def _coloured(line: str) -> str:
    return line.replace("(EngineCore pid=2)", "\x1b[0;36m(EngineCore pid=2)\x1b[0;0m").replace(
        "14.99 GiB", "\x1b[1m14.99\x1b[0m GiB"
    )


@pytest.mark.parametrize(
    "changed",
    [
        _coloured,
        lambda line: "[pod/chat-7d9f-abcde/vllm] " + line,
        lambda line: "2026-11-25T09:00:00.123456789Z " + line,
        lambda line: line + "\r",
    ],
    ids=["colours", "kubectl --prefix", "timestamps", "Windows"],
)
def test_what_is_put_around_a_line_does_no_harm(changed: Callable[[str], str]) -> None:
    """The same start comes out."""
    lines = _start(476_016).splitlines()
    plain = parse_boot_log("\n".join(lines), source="log")

    assert plain.weights_gib == 14.99
    assert parse_boot_log("\n".join(map(changed, lines)), source="log") == plain


def test_the_last_start_that_came_far_enough_counts() -> None:
    """A container that restarts writes on; the start that was cut off says nothing about the cache."""
    cut_off = "\n".join(_start(1, "0.21.0").splitlines()[:2])
    log = parse_boot_log(_start(1_600) + _start(3_200, "0.20.0") + cut_off, source="log")

    assert (log.version, log.kv_cache_tokens) == ("0.20.0", 3_200)


def test_pods_do_not_mix() -> None:
    """Lines of two pods alternate; each figure is of the same pod."""
    first, second = _start(1_600).splitlines(), _start(3_200, "0.20.0").splitlines()
    lines = [line for a, b in zip(first, second, strict=True) for line in (f"[pod/a/vllm] {a}", f"[pod/b/vllm] {b}")]
    log = parse_boot_log("\n".join(lines), source="log")

    assert (log.version, log.kv_cache_tokens) == ("0.20.0", 3_200)
