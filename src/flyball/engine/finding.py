"""Which vLLM runs the replicas: the user's own on a GPU, else the one that flyball installed."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flyball.engine.home import ENGINE_VERSION, Home
from flyball.engine.journal import read_journal
from flyball.engine.machine import visible_gpus
from flyball.engine.recipe import RECIPE
from flyball.errors import OutsideError


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A vLLM that can be started."""

    python: Path
    """The interpreter of its environment."""
    version: str
    device: Literal["cpu", "cuda"]
    small_model: Path | None = None
    """The folder of the small model, if it is installed."""
    cache: Path | None = None
    """VLLM_CACHE_ROOT; None leaves vLLM its own default."""


State = Literal["ready", "incomplete", "absent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """What there is on this machine."""

    installed: State
    """Of the CPU build in flyball's folder."""
    missing: tuple[str, ...]
    """The steps of the installation that are not done."""
    engine: Engine | None
    """What replicas would be started with."""


def engine_status(home: Home) -> EngineStatus:
    """Whether there is an engine, and which."""
    done = read_journal(home, RECIPE).done
    missing = tuple(step.name for step in RECIPE if step.name not in done)
    installed: State = "ready" if not missing else "incomplete" if home.engine.exists() else "absent"
    built = Engine(
        python=home.python, version=ENGINE_VERSION, device="cpu", small_model=home.small_model, cache=home.cache
    )
    return EngineStatus(
        installed=installed, missing=missing, engine=find_cuda_vllm(home) or (None if missing else built)
    )


def find_engine(home: Home) -> Engine:
    """The vLLM to start replicas with. Raises OutsideError where there is none."""
    status = engine_status(home)
    if status.engine is None:
        what = "is half-installed" if status.installed == "incomplete" else "is not installed"
        raise OutsideError(f"the local engine {what} ({home.engine})", fix="run `flyball engine install`")
    return status.engine


def find_cuda_vllm(home: Home) -> Engine | None:
    """A vLLM with CUDA in this environment or on PATH, if there is a GPU."""
    if not visible_gpus():
        return None
    small_model = home.small_model if (home.small_model / "config.json").exists() else None
    for python in _interpreters():
        version = _vllm_version(python)
        if version and "cpu" not in version:  # vLLM's own CPU builds call themselves `0.32.0+cpu`
            return Engine(python=python, version=version.partition("+")[0], device="cuda", small_model=small_model)
    return None


def _interpreters() -> Iterator[Path]:
    yield Path(sys.executable)
    program = shutil.which("vllm")
    if program is not None:
        with Path(program).open("rb") as file:
            line = file.readline(1000).decode(errors="replace").strip()
        if line.startswith("#!"):
            words = line.removeprefix("#!").split()
            found = shutil.which(words[-1])  # `#!/path/python` or `#!/usr/bin/env python3`
            if found:
                yield Path(found)


def _vllm_version(python: Path) -> str:
    """Empty where that interpreter has none."""
    program = "from importlib.metadata import version; print(version('vllm'))"
    try:
        answer = subprocess.run([python, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
