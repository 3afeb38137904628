"""Kills the process groups that it was told of, and removes their folder, once the process that started it is gone.

Run as a script with the standard library alone and the folder as its argument. It reads `+GROUP` and `-GROUP` lines
from standard input; the end of the input means that flyball ended, however it ended, SIGKILL included. It sits in a
session of its own, so that neither Ctrl-C nor a signal to flyball's group reaches it.
"""

import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Iterable


def watch(lines: Iterable[str]) -> set[int]:
    """The groups still registered when `lines` end."""
    groups: set[int] = set()
    for line in lines:
        group = int(line[1:])
        if line.startswith("+"):
            groups.add(group)
        else:
            groups.discard(group)
    return groups


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for group in watch(sys.stdin):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    shutil.rmtree(sys.argv[1], ignore_errors=True)
