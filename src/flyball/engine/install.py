"""Carries out an installation: step by step, once at a time, resumable, never half-used."""

import asyncio
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from flyball.engine.home import Home
from flyball.engine.install_failure import explain
from flyball.engine.journal import forget_broken_packages, read_journal, write_journal
from flyball.engine.recipe import RECIPE, Step
from flyball.errors import OutsideError
from flyball.processes import Child, Nursery
from flyball.units import MIB, format_bytes

POLL_S = 0.25
SPARE_BYTES = 500 * MIB
"""Room for what pip unpacks on the way."""
REDIRECTING = ("PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_ROOT", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
"""Variables that would send packages elsewhere, or bring other packages in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """What is going on now."""

    step: Step
    state: Literal["running", "done", "kept"]
    elapsed_s: float = 0.0
    detail: str = ""
    """The last line that the step wrote."""


Listener = Callable[[StepReport], None]


async def install(home: Home, *, on_report: Listener, recipe: Sequence[Step] = RECIPE) -> None:
    """Do what is not done yet of `recipe`. Raises OutsideError; what is done by then need not be done again."""
    with _locked(home):
        journal = read_journal(home, recipe)
        if not journal.done:
            shutil.rmtree(home.engine, ignore_errors=True)
        missing = [step for step in recipe if step.name not in journal.done]
        if missing:
            shutil.rmtree(home.scratch, ignore_errors=True)  # what an interrupted pip left
            _require_space(home, missing)
            if any(step.packages for step in missing):  # else nothing would bring them back
                for site_packages in home.venv.glob("lib/python3*/site-packages"):
                    forget_broken_packages(site_packages)
        with Nursery() as nursery:
            for step in recipe:
                if step.name in journal.done:
                    on_report(StepReport(step=step, state="kept"))
                    continue
                elapsed_s = await _run_step(nursery, home, step, on_report)
                journal = replace(journal, done=(*journal.done, step.name))
                write_journal(home, journal)
                on_report(StepReport(step=step, state="done", elapsed_s=elapsed_s))
        for folder in (home.downloads, home.scratch):
            shutil.rmtree(folder, ignore_errors=True)


def remove(home: Home) -> None:
    """Delete the engine, the small model and vLLM's cache. Raises OutsideError while an installation runs."""
    if not home.root.exists():
        return
    with _locked(home):
        home.journal.unlink(missing_ok=True)  # first: what is left by an interruption is not usable
        for folder in _folders(home):
            shutil.rmtree(folder, ignore_errors=True)


def installed_bytes(home: Home) -> int:
    """What `remove` would free."""
    files = (file for folder in _folders(home) for file in folder.rglob("*") if not file.is_symlink())
    return sum(file.stat().st_blocks * 512 for file in files)


def _folders(home: Home) -> tuple[Path, ...]:
    return home.engine, home.small_model, home.cache


async def _run_step(nursery: Nursery, home: Home, step: Step, on_report: Listener) -> float:
    """Seconds that it took."""
    began = asyncio.get_running_loop().time()
    attempts = step.attempts(home)
    for index, command in enumerate(attempts):
        child = await nursery.start(command, log=home.log, env=_environment(home))
        while not await _ended(child):
            elapsed_s = asyncio.get_running_loop().time() - began
            lines = child.tail().splitlines() or [""]
            on_report(StepReport(step=step, state="running", elapsed_s=elapsed_s, detail=lines[-1].strip()))
        if child.returncode == 0:
            break
        if index == len(attempts) - 1:
            raise explain(step, child.tail(), returncode=child.returncode, log=home.log)
    return asyncio.get_running_loop().time() - began


async def _ended(child: Child) -> bool:
    """Whether it has, after a moment."""
    try:
        await asyncio.wait_for(child.wait(), POLL_S)
    except TimeoutError:
        return False
    return True


def _environment(home: Home) -> dict[str, str]:
    home.scratch.mkdir(parents=True, exist_ok=True)
    inherited = {name: value for name, value in os.environ.items() if name not in REDIRECTING}
    return {**inherited, "TMPDIR": str(home.scratch)}


def _require_space(home: Home, steps: Sequence[Step]) -> None:
    needed = sum(step.size_bytes for step in steps) + SPARE_BYTES
    free = shutil.disk_usage(home.root).free
    if free < needed:
        raise OutsideError(
            f"{home.root} has {format_bytes(free)} free and the engine needs {format_bytes(needed)}",
            fix="free some space, or choose another disk with FLYBALL_HOME",
        )


@contextmanager
def _locked(home: Home) -> Iterator[None]:
    try:
        home.root.mkdir(parents=True, exist_ok=True)
        file = home.lock.open("w")
    except OSError as error:
        raise OutsideError(
            f"cannot write to {home.root}: {error.strerror}", fix="choose another folder with FLYBALL_HOME"
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutsideError(
                f"another `flyball engine` command is at work in {home.root}", fix="wait until it has ended"
            ) from None
        yield
