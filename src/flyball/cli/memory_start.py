"""What `flyball memory` starts from: a version alone, or a recorded start of vLLM."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flyball.catalog import DEFAULT_RELEASE
from flyball.cli.spec_file import read_text
from flyball.perf import (
    NO_CORRECTION,
    BootComparison,
    DeviceMemory,
    MemoryCorrection,
    ModelArchitecture,
    builtin_architecture,
    compare_boot,
    corrected_engine,
    parse_boot_log,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What is known before the flags of the command line: a version, and of a recorded start its flags and errors."""

    version: str
    engine: Mapping[str, Any] = field(default_factory=dict)
    correction: MemoryCorrection = NO_CORRECTION
    comparison: BootComparison | None = None


def read_start(path: Path, architecture: ModelArchitecture, device: DeviceMemory, version: str | None) -> Start:
    """The start in a log of the same accelerator, of this model or of another."""
    boot = parse_boot_log(read_text(path), source=str(path))
    booted = builtin_architecture(boot.model or "") or architecture
    version = version or boot.version or DEFAULT_RELEASE
    comparison = compare_boot(boot, booted, device=device, version=boot.version or version)
    if replace(booted, name="") == replace(architecture, name=""):
        engine = corrected_engine(boot)
        return Start(version=version, engine=engine, correction=comparison.correction, comparison=comparison)
    # Another model on the same chip: what holds is the memory that the chip has and what CUDA takes of it.
    correction = replace(comparison.correction, weights_bytes=0, activation_factor=1.0)
    return Start(version=version, correction=correction, comparison=comparison)
