import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from flyball.errors import OutsideError
from flyball.processes import Nursery
from flyball.processes.watchdog import watch

TREE = "import subprocess, sys, time; subprocess.Popen(['sleep', '60']); print('ready', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"


async def _written(path: Path, text: str) -> None:
    while not path.exists() or text not in path.read_text():
        await asyncio.sleep(0.02)


def _alive(group: int) -> list[int]:
    members = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process.pid)
        except (psutil.Error, ProcessLookupError):
            continue
    return members


async def test_stop_ends_the_whole_group(tmp_path: Path) -> None:
    """A child's own children end with it."""
    with Nursery() as nursery:
        child = await nursery.start([sys.executable, "-c", TREE], log=tmp_path / "log")
        await _written(child.log, "ready")
        assert len(_alive(child.pid)) == 2
        members = [psutil.Process(pid) for pid in _alive(child.pid)]

        assert await child.stop(grace_s=5) == -signal.SIGTERM

        _, alive = psutil.wait_procs(members, timeout=5)
        assert alive == []


async def test_stop_kills_what_ignores_sigterm(tmp_path: Path) -> None:
    """After the grace period comes SIGKILL."""
    with Nursery() as nursery:
        child = await nursery.start([sys.executable, "-c", STUBBORN], log=tmp_path / "log")
        await _written(child.log, "ready")

        assert await child.stop(grace_s=0.1) == -signal.SIGKILL


async def test_tail_is_of_this_run_only(tmp_path: Path) -> None:
    """A log that several runs append to shows the last run's lines."""
    log = tmp_path / "log"
    with Nursery() as nursery:
        for word in ("first", "second"):
            child = await nursery.start([sys.executable, "-c", f"print('{word}')"], log=log)
            await child.wait()

        assert log.read_text() == "first\nsecond\n"
        assert child.tail() == "second\n"


async def test_missing_program_is_an_outside_error(tmp_path: Path) -> None:
    """What cannot be run is named."""
    with Nursery() as nursery, pytest.raises(OutsideError, match="cannot start /no/such"):
        await nursery.start(["/no/such/program"], log=tmp_path / "log")


def test_children_die_when_flyball_is_killed(tmp_path: Path) -> None:
    """SIGKILL to the process that owns the nursery leaves nothing running, and no temporary files."""
    script = (
        "import asyncio, sys, pathlib\n"
        "from flyball.processes import Nursery\n"
        "async def main():\n"
        "    nursery = Nursery()\n"
        f"    log = pathlib.Path({str(tmp_path / 'log')!r})\n"
        f"    child = await nursery.start([sys.executable, '-c', {TREE!r}], log=log)\n"
        "    (nursery.scratch / 'socket').touch()\n"
        "    print(child.pid, nursery.scratch, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid, folder = owner.stdout.readline().split()
        group, scratch = int(pid), Path(folder)
        assert _alive(group)
        assert scratch.exists()

        owner.kill()
        owner.wait()

        leaders = [psutil.Process(pid) for pid in _alive(group)]
        _, alive = psutil.wait_procs(leaders, timeout=10)
        assert alive == []
        deadline = time.monotonic() + 10
        while scratch.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not scratch.exists()


def test_what_children_left_in_the_scratch_folder_goes_with_the_nursery() -> None:
    """As after every run: vLLM's sockets stay when its processes are gone."""
    with Nursery() as nursery:
        (nursery.scratch / "socket").touch()

    assert not nursery.scratch.exists()


def test_watchdog_knows_who_left() -> None:
    """Groups that ended are not killed: their id may be another's by then."""
    assert watch(["+10\n", "+11\n", "-10\n"]) == {11}
