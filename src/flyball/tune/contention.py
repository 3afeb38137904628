"""How long we and all that we started wait for a processor: an engine on the same processors is as slow as that."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Seconds that the threads have waited so far, ready to run, by thread."""

    at_s: float
    waited_s: dict[int, float]

    @classmethod
    def now(cls) -> "Waiting":
        """Of the threads that there are. Nothing where Linux does not count it."""
        waited: dict[int, float] = {}
        for pid in _family():
            for path in _PROC.glob(f"{pid}/task/*/schedstat"):
                try:
                    # running, waiting on a run queue (both in nanoseconds), turns: the kernel's sched-stats.rst
                    waited[int(path.parent.name)] = int(path.read_text(encoding="ascii").split()[1]) / 1e9
                except (OSError, IndexError):
                    continue  # it has ended meanwhile, or is not counted
        return cls(at_s=time.perf_counter(), waited_s=waited)


def waited_share(before: Waiting, after: Waiting, *, processors: int) -> float:
    """Seconds waited between the two, of those that all processors have; 0 to 1."""
    waited_s = sum(seconds - before.waited_s.get(thread, 0.0) for thread, seconds in after.waited_s.items())
    return min(1.0, max(0.0, waited_s / (max(after.at_s - before.at_s, 1e-3) * processors)))


def _family() -> set[int]:
    """Us and all that we started, by process."""
    parents: dict[int, int] = {}
    for path in _PROC.glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text(errors="replace").rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found
