"""The user's own calibrations on disk."""

from collections.abc import Iterable
from pathlib import Path

from flyball.cli.spec_file import read_text
from flyball.data_folder import data_folder
from flyball.errors import OutsideError
from flyball.perf.calibration import Calibration
from flyball.perf.calibrations import calibrations_from_json, calibrations_to_json


def user_calibrations() -> Path:
    """Where `flyball calibrate` keeps factors, and where predictions look for them."""
    return data_folder() / "calibrations.json"


def read_calibrations(file: Path) -> list[Calibration]:
    """None kept yet is no mistake. UsageError if the file is something else."""
    return calibrations_from_json(read_text(file), source=str(file)) if file.exists() else []


def write_calibrations(file: Path, calibrations: Iterable[Calibration]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(calibrations_to_json(calibrations), encoding="utf-8")
    except OSError as error:
        raise OutsideError(f"cannot write {file}: {error.strerror}", fix="name another file with --save") from error
