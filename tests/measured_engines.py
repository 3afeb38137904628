"""Engines and measured loads that the tests of speed share."""

from functools import cache
from pathlib import Path
from typing import Any

from flyball.catalog import load_catalog
from flyball.cli.measured_files import MeasuredServer, read_measured
from flyball.perf import builtin_architecture
from flyball.perf.efficiency import Efficiency
from flyball.perf.measured_load import MeasuredEngine, MeasuredLoad, measured_engine
from flyball.perf.step_model import StepModel

LLAMA = "meta-llama/Llama-3.1-8B"
H200_LOADS = Path(__file__).parent / "perf" / "data" / "h200-llama-3.1-8b-loads.jsonl"


def engine(model: str = LLAMA, chip: str = "H200", **flags: Any) -> MeasuredEngine:
    architecture = builtin_architecture(model)
    assert architecture is not None
    return measured_engine(architecture, load_catalog().accelerator(chip), version="0.26.0", flags=flags)


def step_model(model: str = LLAMA, chip: str = "H200", efficiency: Efficiency | None = None, **flags: Any) -> StepModel:
    return engine(model, chip, **flags).step_model(efficiency or Efficiency())


@cache
def h200_loads() -> dict[str, MeasuredLoad]:
    """By name: `default, 64 clients`, `seqs64, Poisson 24/s`, `eager, 1 clients`, ..."""
    server = MeasuredServer(catalog=load_catalog(), accelerator="H200", version="0.26.0")
    loads, _ = read_measured(H200_LOADS, server)
    return {load.name: load for load in loads}
