"""The journal of a session: one JSON object a line, written at once: an interruption costs one trial at most."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flyball.errors import OutsideError, UsageError
from flyball.tune.trial import Trial, trial_from_dict

NAME = "journal.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a session had done when it ended."""

    trials: tuple[Trial, ...]
    starts: int
    """Of the engine, those of unfinished trials included."""
    elapsed_s: float


class Journal:
    """Appends to the journal in a run folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME

    def starting(self, number: int, flags: Mapping[str, Any]) -> None:
        """Before the engine is started: it counts, whatever comes of it."""
        self._append({"event": "start", "trial": number, "flags": dict(flags)})

    def ended(self, trial: Trial) -> None:
        self._append({"event": "trial", **trial.to_dict()})

    def _append(self, row: Mapping[str, Any]) -> None:
        try:
            with self.path.open("a+b") as file:
                if file.tell() and not self._ends_with_newline():
                    file.write(b"\n")  # the line that an interruption tore stays alone
                file.write(json.dumps(row, allow_nan=False).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutsideError(f"cannot write {self.path}: {error.strerror}", fix="free space, or use --out") from error

    def _ends_with_newline(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"


def read_journal(folder: Path) -> Past:
    """What stands in the folder's journal; a line that is torn is a trial that did not end.

    UsageError if there is none, or one that this version did not write.
    """
    path = folder / NAME
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        what = f"{folder} is no folder of flyball tune: {error.strerror}"
        raise UsageError(what, fix="name the run folder, like runs/tune-20261125-101500") from None
    trials: dict[int, Trial] = {}
    starts = 0
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        try:
            if row.pop("event") == "start":
                starts += 1
            else:
                trial = trial_from_dict(row)
                trials[trial.number] = trial
        except (KeyError, TypeError, AttributeError) as error:
            what = f"{path} was written by another version: {error!r}"
            raise UsageError(what, fix="start anew, without --resume") from None
    ordered = tuple(trials[number] for number in sorted(trials))
    return Past(trials=ordered, starts=starts, elapsed_s=sum(trial.seconds for trial in ordered))
