"""How long we and all that we started wait for a processor: an engine on the same processors is as slow as that."""

import time
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Seconds that the threads have waited so far, ready to run, by thread."""

    at_s: float
    waited_s: dict[int, float]

    @classmethod
    def now(cls) -> "Waiting":
        """Of the threads that there are. Nothing where Linux does not count it."""
        waited: dict[int, float] = {}
        us = psutil.Process()
        for process in (us, *us.children(recursive=True)):
            for path in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
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
