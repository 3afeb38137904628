"""Where a run's results go, and what a repetition needs to know."""

import platform
from datetime import datetime
from pathlib import Path

import psutil

from flyball import __version__
from flyball.errors import OutsideError, UsageError
from flyball.units import format_bytes


def new_run_folder(verb: str, out: Path | None) -> Path:
    """A folder that was not there before: `out`, or runs/VERB-DATE-TIME below the current one."""
    folder = out or Path("runs") / f"{verb}-{datetime.now().astimezone():%Y%m%d-%H%M%S}"
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UsageError(
            f"{folder} is there already", fix="name another folder: results are never overwritten"
        ) from None
    except OSError as error:
        raise OutsideError(f"cannot make {folder}: {error.strerror}", fix="choose another place with --out") from error
    return folder


def provenance(seed: int, **more: str) -> dict[str, str]:
    """Versions, machine, seed and start time."""
    return {
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "flyball": __version__,
        "python": platform.python_version(),
        "machine": (
            f"{platform.machine()}, {psutil.cpu_count()} cores, {format_bytes(psutil.virtual_memory().total)}, "
            f"Linux {platform.release()}"
        ),
        "seed": str(seed),
        **more,
    }
