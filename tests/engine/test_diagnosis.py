"""Each fault's own log, as the real engine wrote it, leads to its cause and a way out."""

from pathlib import Path

import pytest

from flyball.engine import diagnose

LOGS = Path(__file__).parent / "data" / "logs"

DIAGNOSES = {
    "port-taken": ("port is taken", "port", False),
    "unknown-architecture": ("'FrobnicatorForCausalLM'", "choose a model", True),
    "unknown-flag": ("--max-model-leng=2048", "`engine`", True),
    "bad-value": ("value of --dtype: invalid choice: 'float12'", "`engine`", True),
    "context-too-long": ("max_model_len 100000 is longer than the model's context of 8192", "8192 or less", True),
    "no-weights": ("no weights in /models/noweights", "download the model again", True),
    "no-such-model": ("no such model on the hub", "model.id", True),
    "offline": ("hub cannot be reached", "name its folder in model.id", False),
    "hub-unreachable": ("hub cannot be reached", "name its folder in model.id", False),
    "kv-cache-too-small": ("KV cache (0.06 GiB) is too small", "engine.max_model_len to 1280 or less", True),
    "kv-cache-beyond-memory": ("63.74 GiB does not fit into the 9.23 GiB", "local.kv_cache", False),
    "allocation-failed": ("out of memory", "scaling.max", False),
    "worker-killed": ("killed from outside", "scaling.max", False),
    "engine-core-killed": ("killed from outside", "scaling.max", False),
    "heads-not-divisible": ("attention heads (9) must be divisible by tensor parallel size (4)", "`engine`", True),
}


def test_every_recorded_fault_is_claimed() -> None:
    """No log lies about unread."""
    assert {path.stem for path in LOGS.glob("*.log")} == set(DIAGNOSES)


@pytest.mark.parametrize("fault", DIAGNOSES)
def test_fault_is_named_with_a_way_out(fault: str) -> None:
    """The cause, what to do, and whether the spec is at fault."""
    cause, fix, permanent = DIAGNOSES[fault]
    failure = diagnose((LOGS / f"{fault}.log").read_text(), returncode=1)

    assert cause in failure.cause
    assert fix in failure.fix
    assert failure.is_permanent is permanent
    assert "\n" not in failure.cause + failure.fix + failure.evidence


@pytest.mark.parametrize("fault", [fault for fault in DIAGNOSES if not fault.endswith("killed")])
def test_evidence_is_a_line_of_the_log(fault: str) -> None:
    """What is shown as vLLM's words stands in its log."""
    log = (LOGS / f"{fault}.log").read_text()

    assert diagnose(log, returncode=1).evidence.removesuffix("…") in log


def test_suggested_kv_cache_would_do() -> None:
    """The cache that is suggested holds what is needed, vLLM's rounding to hundredths included."""
    failure = diagnose((LOGS / "kv-cache-too-small.log").read_text(), returncode=1)
    needed_bytes = 2048 * 30 * 2 * 3 * 64 * 4  # tokens x layers x (key, value) x KV heads x head size x float32

    suggested = failure.fix.split("local.kv_cache to ")[1].split("Mi")[0]
    assert int(suggested) * 2**20 >= needed_bytes


@pytest.mark.parametrize(
    "line",
    [
        "ValueError: Free memory on device cuda:0 (3.1/79.1 GiB) on startup is less than desired GPU memory "
        "utilization (0.92, 72.8 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.00 GiB. GPU 0 has a total capacity of 22 GiB",
        "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`",
    ],
)
def test_gpu_memory_is_told_from_host_memory(line: str) -> None:
    """VLLM's and torch's words for a full GPU (from their source) lead to GPU remedies."""
    failure = diagnose(f"(EngineCore pid=7) ERROR 11-23 20:39:03 [core.py:1510] {line}\n", returncode=1)

    assert "GPU's memory" in failure.cause
    assert "gpu_memory_utilization" in failure.fix


def test_sigkill_without_a_word_points_to_memory() -> None:
    """A process that the system's OOM killer ended leaves no message, only its signal."""
    assert "killed from outside" in diagnose("INFO: Started server process\n", returncode=-9).cause


def test_unknown_fault_shows_the_last_error_line() -> None:
    """Where no sign is known, the evidence is the last exception, not the traceback's frame."""
    log = "Traceback (most recent call last):\n  File x.py, line 3\nSomeNewError: the flux is inverted\nINFO: bye\n"
    failure = diagnose(log, returncode=3)

    assert failure.cause == "it ended with exit code 3"
    assert failure.evidence == "SomeNewError: the flux is inverted"


def test_silence_is_reported_as_such() -> None:
    """An empty log is no reason to fail."""
    assert diagnose("", returncode=1).evidence == ""
