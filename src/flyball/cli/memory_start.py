"""What `flyball memory` starts from: a version alone, or a recorded start of vLLM."""

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flyball.catalog import DEFAULT_RELEASE
from flyball.errors import UsageError
from flyball.perf import (
    NO_CORRECTION,
    BootComparison,
    BootLog,
    DeviceMemory,
    MemoryCorrection,
    ModelArchitecture,
    builtin_architecture,
    compare_boot,
    corrected_engine,
    parse_boot_log,
)
from flyball.units import GIB

_ANOTHER = 0.1
"""Memory or weights that are further off than this are those of another GPU or another model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What is known before the flags of the command line: a version, and of a recorded start its flags and errors."""

    version: str
    engine: Mapping[str, Any] = field(default_factory=dict)
    correction: MemoryCorrection = NO_CORRECTION
    comparison: BootComparison | None = None


def read_start(path: Path, architecture: ModelArchitecture, device: DeviceMemory, version: str | None) -> Start:
    """The start in a log of the same accelerator, of this model or of another that is known."""
    boot = parse_boot_log(_log_text(path), source=str(path))
    if not boot.engine and boot.model is None and boot.version is None:
        what = f"{path} begins after the start: it does not say with which version and flags"
        raise UsageError(what, fix="give the log from its first line")
    booted = builtin_architecture(boot.model or "") or architecture
    version = version or boot.version or DEFAULT_RELEASE
    if boot.total_gib and abs(boot.total_gib * GIB / device.total_bytes - 1) > _ANOTHER:
        what = f"{path} is of a GPU with {boot.total_gib} GiB, {device.name} has {device.total_bytes / GIB:.1f}"
        raise UsageError(what, fix="name the accelerator that vLLM started on")
    comparison = compare_boot(boot, booted, device=device, version=boot.version or version)
    _check_weights(path, boot, booted, comparison)
    if replace(booted, name="") == replace(architecture, name=""):
        engine = corrected_engine(boot)
        return Start(version=version, engine=engine, correction=comparison.correction, comparison=comparison)
    # Another model on the same chip: what holds is the memory that the chip has and what CUDA takes of it.
    correction = replace(comparison.correction, weights_bytes=0, activation_factor=1.0)
    return Start(version=version, correction=correction, comparison=comparison)


def _check_weights(path: Path, boot: BootLog, booted: ModelArchitecture, comparison: BootComparison) -> None:
    predicted = comparison.predicted.weights_bytes / GIB
    if boot.weights_gib and abs(boot.weights_gib / predicted - 1) > _ANOTHER:
        what = (
            f"{path}: the model took {boot.weights_gib} GiB, but {booted.name} takes {predicted:.2f} as it was started"
        )
        raise UsageError(what, fix="name the model of the log, or give a log of this one")


def _log_text(path: Path) -> str:
    """Compressed as rotated logs are, or not; a byte that is no text is replaced: progress bars are often cut."""
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file", fix="give what `vllm serve` printed when it started") from None
    except (OSError, EOFError, zlib.error) as error:
        what = f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise UsageError(what, fix="check the file and its permissions") from None
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    return content.decode("utf-16" if wide else "utf-8", errors="replace")
