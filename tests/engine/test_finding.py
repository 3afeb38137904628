"""Which vLLM is found: none, a half-made one, flyball's, the user's own on a GPU."""

import json
import sys
from pathlib import Path

import pytest

from flyball.engine import RECIPE, Home, engine_status, find_cuda_vllm, find_engine
from flyball.engine.journal import read_journal, write_journal
from flyball.errors import OutsideError


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PATH, for what a test puts there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return folder


def _program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def _gpu(folder: Path) -> None:
    _program(folder / "nvidia-smi", "#!/bin/sh\necho '0, GPU-aaaa, NVIDIA A10G, 23028'\n")


def _user_vllm(folder: Path, version: str) -> Path:
    python = _program(folder / "their-python", f"#!/bin/sh\necho {version}\n")
    _program(folder / "vllm", f"#!{python}\n")
    return python


def _installed(home: Home) -> None:
    home.python.parent.mkdir(parents=True)
    home.python.symlink_to(sys.executable)
    home.small_model.mkdir(parents=True)
    (home.small_model / "config.json").write_text("{}")
    write_journal(home, read_journal(home, RECIPE))
    journal = json.loads(home.journal.read_text())
    home.journal.write_text(json.dumps({**journal, "done": [step.name for step in RECIPE]}))


def test_nothing_is_there(tmp_path: Path) -> None:
    """The way out is the command that installs it."""
    home = Home(root=tmp_path / "home")
    status = engine_status(home)

    assert (status.installed, status.engine) == ("absent", None)
    with pytest.raises(OutsideError, match="is not installed") as error:
        find_engine(home)
    assert error.value.fix == "run `flyball engine install`"


def test_a_half_made_one_is_not_used(tmp_path: Path) -> None:
    """Though its interpreter is there already."""
    home = Home(root=tmp_path / "home")
    _installed(home)
    journal = json.loads(home.journal.read_text())
    home.journal.write_text(json.dumps({**journal, "done": journal["done"][:3]}))
    status = engine_status(home)

    assert (status.installed, status.engine) == ("incomplete", None)
    assert status.missing == ("requirements", "vllm", "compile", "model", "check")
    with pytest.raises(OutsideError, match="is half-installed"):
        find_engine(home)


def test_the_installed_one_is_used(tmp_path: Path) -> None:
    """With its model and a cache that is kept between runs."""
    home = Home(root=tmp_path / "home")
    _installed(home)
    engine = find_engine(home)

    assert (engine.version, engine.device, engine.python) == ("0.32.0", "cpu", home.python)
    assert (engine.small_model, engine.cache) == (home.small_model, home.cache)


def test_an_interpreter_that_is_gone_makes_it_incomplete(tmp_path: Path) -> None:
    """The system's Python was replaced: the environment's link leads nowhere."""
    home = Home(root=tmp_path / "home")
    _installed(home)
    home.python.unlink()
    home.python.symlink_to(tmp_path / "no-such-python")

    assert engine_status(home).installed == "incomplete"


def test_a_users_vllm_on_a_gpu_comes_first(tmp_path: Path, programs: Path) -> None:
    """It is run by the interpreter that its script names, and keeps its own cache."""
    home = Home(root=tmp_path / "home")
    _installed(home)
    _gpu(programs)
    python = _user_vllm(programs, "0.33.0+cu130")
    engine = find_engine(home)

    assert (engine.device, engine.version, engine.python) == ("cuda", "0.33.0", python)
    assert (engine.small_model, engine.cache) == (home.small_model, None)


def test_a_script_by_env_is_followed(tmp_path: Path, programs: Path) -> None:
    """`#!/usr/bin/env python3` names the interpreter by its name."""
    _gpu(programs)
    python = _user_vllm(programs, "0.33.0")
    _program(programs / "vllm", f"#!/usr/bin/env {python.name}\n")
    engine = find_cuda_vllm(Home(root=tmp_path / "home"))

    assert engine is not None
    assert engine.python == python


@pytest.mark.parametrize("version", ["0.32.0+cpu", ""])
def test_a_vllm_without_cuda_is_not_taken_for_one(tmp_path: Path, programs: Path, version: str) -> None:
    """A CPU build, or a script whose interpreter has no vLLM."""
    _gpu(programs)
    _user_vllm(programs, version)

    assert find_cuda_vllm(Home(root=tmp_path / "home")) is None


def test_without_a_gpu_a_cuda_vllm_is_of_no_use(tmp_path: Path, programs: Path) -> None:
    """Nor with one that CUDA_VISIBLE_DEVICES hides."""
    _user_vllm(programs, "0.33.0")

    assert find_cuda_vllm(Home(root=tmp_path / "home")) is None
