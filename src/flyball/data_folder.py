"""flyball's folder among the user's data: the local engine and the user's calibrations are kept there."""

import os
from pathlib import Path


def data_folder() -> Path:
    """$FLYBALL_HOME, else flyball's folder among the user's data (XDG base directories)."""
    if chosen := os.getenv("FLYBALL_HOME"):
        return Path(chosen).expanduser().absolute()
    data = os.getenv("XDG_DATA_HOME") or Path("~/.local/share").expanduser()
    return Path(data).absolute() / "flyball"
