"""A stand-in for an installed engine, for tests: its "Python" runs tests/fake_vllm_server.py for any module."""

import sys
from pathlib import Path

from flyball.engine import ENGINE_VERSION, RECIPE, Engine, Home
from flyball.engine.journal import Journal, read_journal, write_journal

SERVER = Path(__file__).with_name("fake_vllm_server.py")


def _write_python(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # `python -m MODULE FLAGS...` becomes `python fake_vllm_server.py FLAGS...`, in the same process.
    path.write_text(f'#!/bin/sh\nshift 2\nexec "{sys.executable}" "{SERVER}" "$@"\n')
    path.chmod(0o755)


def fake_engine(folder: Path) -> Engine:
    """An engine that starts at once and serves any model's name."""
    python = folder / "bin" / "python"
    _write_python(python)
    return Engine(python=python, version=ENGINE_VERSION, device="cpu")


def fake_home(folder: Path) -> Home:
    """A flyball home with such an engine in it, for commands that look for the installed one."""
    home = Home(root=folder)
    _write_python(home.python)
    home.small_model.mkdir(parents=True)
    (home.small_model / "config.json").write_text('{"dtype": "bfloat16"}')
    for step in RECIPE:
        if step.result and not step.result(home).exists():
            step.result(home).mkdir(parents=True)
    empty = read_journal(home, RECIPE)
    done = tuple(step.name for step in RECIPE)
    write_journal(home, Journal(engine=empty.engine, recipe=empty.recipe, venv=empty.venv, done=done))
    return home
