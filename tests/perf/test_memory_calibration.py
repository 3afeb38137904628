from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball.errors import UsageError
from flyball.perf import (
    BootLog,
    MemoryBudget,
    MemoryCorrection,
    compare_boot,
    corrected_engine,
    memory_budget,
    memory_settings,
    parse_boot_log,
)
from flyball.units import GIB, MIB
from recorded_boots import DATA, Boot, architecture, boots, device

_LLAMA = "meta-llama/Llama-3.1-8B"


def _budget(model: str, chip: str, version: str, correction: MemoryCorrection, **engine: Any) -> MemoryBudget:
    shape = architecture(model)
    flags = memory_settings(engine, architecture=shape, device=device(chip), version=version)
    return memory_budget(shape, device=device(chip), settings=flags, version=version, correction=correction)


def _log_of(boot: Boot) -> BootLog:
    """The record as its log would have been read."""
    return BootLog(
        version=boot["version"],
        model=boot["model"],
        engine=boot["engine"],
        kv_cache_tokens=boot.get("tokens"),
        available_kv_gib=boot.get("available_gib"),
        weights_gib=boot.get("weights_gib"),
        activation_gib=boot.get("activation_gib"),
        non_torch_gib=boot.get("non_torch_gib"),
        total_gib=boot["total_gib"],
    )


_UNIFORM = [
    boot
    for boot in boots()
    if "tokens" in boot and "gemma" not in boot["model"] and "pipeline_parallel_size" not in boot["engine"]
]


@pytest.mark.parametrize("boot", _UNIFORM, ids=lambda boot: f"{boot['model']}-{boot['version']}-{boot['tokens']}")
def test_the_start_itself_is_reproduced(boot: Boot) -> None:
    """With the same flags the corrected model gives the tokens of the log, to a few blocks."""
    shape, chip = architecture(boot["model"]), device(boot["accelerator"])
    shown = compare_boot(_log_of(boot), shape, device=chip, version=boot["version"])
    found = _budget(boot["model"], boot["accelerator"], boot["version"], shown.correction, **boot["engine"])

    assert found.kv_cache.tokens == pytest.approx(boot["tokens"], abs=3 * 16, rel=1e-4)


def test_one_start_predicts_another_with_other_flags() -> None:
    """From the compiled start on the H200 to the eager one: 898,784 tokens, to 0.01 %."""
    compiled, eager = (
        next(boot for boot in boots() if boot["source"] == "flyball" and boot.get("tokens") == tokens)
        for tokens in (896_912, 898_784)
    )
    shown = compare_boot(_log_of(compiled), architecture(_LLAMA), device=device("H200"), version="0.26.0")
    found = _budget(_LLAMA, "H200", "0.26.0", shown.correction, **eager["engine"])

    assert found.kv_cache.tokens == pytest.approx(eager["tokens"], rel=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    taken=st.integers(-100 * MIB, 600 * MIB),
    factor=st.floats(0.8, 1.5),
    tokens=st.sampled_from([2048, 4096, 16384]),
    share=st.sampled_from([0.5, 0.8, 0.95]),
)
@pytest.mark.long
def test_other_flags_on_a_chip_that_differs_are_predicted(taken: int, factor: float, tokens: int, share: float) -> None:
    """A machine that takes other amounts than the model says is learnt from one start, for other flags within 1 %."""
    truth = MemoryCorrection(non_torch_bytes=taken, activation_factor=factor)
    first = _budget(_LLAMA, "L40S", "0.26.0", truth, max_model_len=8192)
    log = BootLog(
        version="0.26.0",
        model=_LLAMA,
        engine={"max_model_len": 8192},
        kv_cache_tokens=first.kv_cache.tokens,
        activation_gib=round(first.activation_bytes / GIB, 2),
        weights_gib=round(first.weights_bytes / GIB, 2),
    )
    shown = compare_boot(log, architecture(_LLAMA), device=device("L40S"), version="0.26.0").correction
    flags = {"max_num_batched_tokens": tokens, "gpu_memory_utilization": share, "max_model_len": 4096}
    real, found = (_budget(_LLAMA, "L40S", "0.26.0", each, **flags) for each in (truth, shown))

    assert found.kv_cache.tokens == pytest.approx(real.kv_cache.tokens, rel=0.01)


def test_a_card_with_less_memory_is_believed() -> None:
    """The log's total wins over the catalog's, which may be of another board."""
    log = replace(parse_boot_log((DATA / "boot-0.31-a100.log").read_text(), source="log"), total_gib=78.0)
    shown = compare_boot(log, architecture(_LLAMA), device=device("A100-80GB"), version="0.31.0")

    assert shown.correction.total_memory_bytes == 78 * GIB


def test_share_of_memory_is_taken_from_the_log() -> None:
    """A start at the default share says what it was: 72.91 of 79.25 GiB."""
    log = parse_boot_log((DATA / "boot-0.31-a100.log").read_text(), source="log")

    assert corrected_engine(log)["gpu_memory_utilization"] == 0.92


def test_error_before_correction_is_reported() -> None:
    """The comparison says how far off the uncorrected model was: under 0.1 % on this A100."""
    log = parse_boot_log((DATA / "boot-0.31-a100.log").read_text(), source="log")
    shown = compare_boot(log, architecture(_LLAMA), device=device("A100-80GB"), version="0.31.0")

    assert shown.error is not None
    assert abs(shown.error) < 0.001


def test_a_start_on_a_cpu_teaches_nothing() -> None:
    """Its cache has the size that it was given."""
    log = parse_boot_log((DATA / "boot-0.32-cpu.log").read_text(), source="log")

    with pytest.raises(UsageError, match="on a CPU"):
        compare_boot(log, architecture(_LLAMA), device=device("H200"), version="0.32.0")
