"""One child process in a group of its own, with its output in a file, that cannot outlive us."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from flyball.errors import OutsideError
from flyball.processes import watchdog

TAIL_BYTES = 64 * 1024  # enough for a vLLM traceback with the settings it prints before


class Nursery:
    """Starts children and guarantees that none is left when it closes, or when this process dies without closing it.

    The same holds for what they leave in `scratch`.
    """

    def __init__(self) -> None:
        self.scratch = Path(tempfile.mkdtemp(prefix="flyball-"))
        """A folder for temporary files of children: vLLM leaves sockets behind. Its path is short enough for them."""
        self._watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", watchdog.__file__, self.scratch],
            stdin=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        self._children: list[Child] = []
        self._groups: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def start(
        self, argv: Sequence[str | Path], *, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> "Child":
        """Start `argv` with standard output and error appended to `log`. Raises OutsideError if it cannot be run."""
        self._forget_the_gone()
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            offset = output.tell()
            try:
                process = await asyncio.create_subprocess_exec(
                    *map(str, argv),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=None if env is None else dict(env),
                    cwd=cwd,
                    # A group, and not a session: Linux schedules sessions against each other (sched_autogroup), and a
                    # replica that starts on a busy core then gets next to nothing of it.
                    process_group=0,
                )
            except OSError as error:
                raise OutsideError(f"cannot start {argv[0]}: {error.strerror}", fix="check that it is there") from error
        self._tell(f"+{process.pid}")
        self._groups.add(process.pid)
        child = Child(process, log=log, log_offset=offset)
        self._children.append(child)
        return child

    def leftovers(self) -> list[str]:
        """Processes that still run in a group that was started here, as `name (pid)`."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if os.getpgid(process.pid) in self._groups and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(f"{process.name()} ({process.pid})")
        return found

    def _forget_the_gone(self) -> None:
        # A group's id may become another's once the group is empty, so it must not be killed later.
        for child in [child for child in self._children if child.is_gone()]:
            self._children.remove(child)
            self._tell(f"-{child.pid}")

    async def aclose(self) -> None:
        """`close`, and wait until the killed ones are gone."""
        children = list(self._children)
        self.close()
        await asyncio.gather(*(child.wait() for child in children))

    def close(self) -> None:
        """Kill what is left at once, then the watchdog."""
        self._forget_the_gone()
        for child in self._children:
            child.kill()
        self._children.clear()
        if self._watchdog.stdin is not None and not self._watchdog.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._watchdog.stdin.close()
        self._watchdog.wait()

    def _tell(self, line: str) -> None:
        assert self._watchdog.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # a watchdog killed by hand: we still clean up ourselves
            self._watchdog.stdin.write(line + "\n")
            self._watchdog.stdin.flush()


class Child:
    """A started process and all that it started in turn (its group, whose id is its pid)."""

    def __init__(self, process: asyncio.subprocess.Process, *, log: Path, log_offset: int) -> None:
        self._process = process
        self._log_offset = log_offset
        self.log = log
        self.pid = process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.returncode

    async def wait(self) -> int:
        return await self._process.wait()

    def is_gone(self) -> bool:
        """Whether the process and everything that it started have ended."""
        if self.returncode is None:
            return False
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False

    def signal(self, number: signal.Signals) -> None:
        """To the process alone, not to its group: a server decides itself what its workers do."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to the whole group, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def stop(self, *, grace_s: float) -> int:
        """SIGTERM, up to `grace_s` seconds to comply, then SIGKILL to whatever is left of the group."""
        self.signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.wait(), grace_s)
        self.kill()
        return await self.wait()

    def tail(self) -> str:
        """The last part of what this run has written to its log."""
        try:
            with self.log.open("rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(self._log_offset, end - TAIL_BYTES))
                return file.read().decode(errors="replace")
        except OSError:
            return ""

    def memory_bytes(self) -> int:
        """Resident memory of the group; 0 once it is gone."""
        total = 0
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            for member in [process, *process.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    total += member.memory_info().rss
        return total
