"""What starts of vLLM printed, and the budget predicted for each."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from flyball.catalog import load_catalog
from flyball.perf import (
    DeviceMemory,
    MemoryBudget,
    ModelArchitecture,
    builtin_architecture,
    device_memory,
    memory_budget,
    memory_settings,
)
from flyball.units import GIB

Boot = dict[str, Any]
DATA = Path(__file__).parent / "perf" / "data"


@cache
def boots() -> tuple[Boot, ...]:
    return tuple(json.loads((DATA / "boots.json").read_text()))


def name_of(boot: Boot) -> str:
    flags = ",".join(f"{name}={value}" for name, value in boot["engine"].items())
    return f"{boot['accelerator']}-{boot['version']}-{boot['model'].split('/')[1]}-{flags}"


def architecture(model: str) -> ModelArchitecture:
    found = builtin_architecture(model)
    assert found is not None, model
    return found


def device(accelerator: str, total_gib: float | None = None) -> DeviceMemory:
    chip = device_memory(load_catalog().accelerator(accelerator))
    return chip if total_gib is None else replace(chip, total_bytes=round(total_gib * GIB))


def budget(model: str, accelerator: str, version: str = "0.26.0", **engine: Any) -> MemoryBudget:
    return budget_on(device(accelerator), model, version, **engine)


def budget_on(chip: DeviceMemory, model: str, version: str, **engine: Any) -> MemoryBudget:
    shape = architecture(model)
    settings = memory_settings(engine, architecture=shape, device=chip, version=version)
    return memory_budget(shape, device=chip, settings=settings, version=version)


def predicted(boot: Boot) -> MemoryBudget:
    chip = device(boot["accelerator"], boot["total_gib"])
    return budget_on(chip, boot["model"], boot["version"], **boot["engine"])
