"""`flyball tune` as a user runs it, against an installed engine that is a fake."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from fake_engine import fake_home
from flyball.cli.main import run
from flyball.spec import ServingSpec, parse_model

SPEC = """# mine
model: {id: fake}
slo: {ttft: {p95: 500ms}}
workload:
  arrivals: {poisson: 8}
  prompt_tokens: {fixed: 4}
  output_tokens: {fixed: 6}
local: {kv_cache: 64Mi}
engine: {max_num_seqs: 1}   # one at a time
tune:
  requests: 20
  restarts: 2
  resolution: 0.5
  flags: {max_num_seqs: {values: [1, 4]}, max_num_batched_tokens: {values: [2048]}}
"""

Captured = pytest.CaptureFixture[str]
Flyball = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    home = fake_home(tmp_path / "home")
    return {**os.environ, "FLYBALL_HOME": str(home.root), "COLUMNS": "160", "FAKE_TOKENS_PER_S": "60"}


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC)
    return path


@pytest.fixture
def _here(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: nothing is started."""
    monkeypatch.setenv("FLYBALL_HOME", environment["FLYBALL_HOME"])
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def flyball(environment: dict[str, str], tmp_path: Path) -> Flyball:
    def call(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "flyball", *map(str, arguments)]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=55, check=False
        )

    return call


@pytest.mark.long
def test_a_search_from_spec_to_spec(flyball: Flyball, spec: Path, tmp_path: Path) -> None:
    """More slots hold more: found, shown, written with the evidence; every trial is kept; the page is one file."""
    done = flyball("tune", spec, "--write", "--out", "run", "-o", "json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["chosen"]["flags"]["max_num_seqs"] == 4, done.stderr
    assert answer["chosen"]["rate"] > 2 * answer["start"]["rate"]
    assert (answer["engine_starts"], answer["improved"], answer["written"]) == (2, True, True)
    assert "trial 1: max_num_seqs 4" in done.stderr

    text = spec.read_text()
    assert parse_model(ServingSpec, text, source="s").engine["max_num_seqs"] == 4
    assert text.startswith("# mine\nmodel: {id: fake}\n")
    assert "# one at a time" in text
    assert "# flyball tune 20" in text
    assert "max_num_seqs 1 held" in text
    assert "  max_num_batched_tokens: 2048\n" in text  # as it was, and what was measured holds for it
    measured = parse_model(ServingSpec, text, source="s").measured
    assert measured is not None
    assert (measured.accelerator, measured.vllm, measured.run) == ("CPU", "0.32.0", "run")
    assert measured.flags["max_num_seqs"] == 4
    assert measured.requests_per_s == pytest.approx(answer["chosen"]["rate"], rel=1e-3)

    for number, trial in enumerate(answer["trials"]):
        folder = tmp_path / "run" / "trials" / f"{number:02d}"
        assert (folder / "engine.log").exists()
        assert {probe["records"] for probe in trial["probes"]} <= {path.name for path in folder.iterdir()}
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Goodput against rate" in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.long
def test_an_interruption_stops_the_engine_and_can_be_resumed(
    environment: dict[str, str], flyball: Flyball, spec: Path, tmp_path: Path
) -> None:
    """Ctrl-C: exit code 130, nothing left running, the spec untouched; --resume counts the start that was lost."""
    command = [sys.executable, "-m", "flyball", "tune", str(spec), "--out", "run"]
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=said, stderr=said)
    deadline = time.monotonic() + 30
    while "ready after" not in (tmp_path / "said").read_text():
        assert time.monotonic() < deadline, (tmp_path / "said").read_text()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert "--resume run" in (tmp_path / "said").read_text()
    fakes = [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or [])]
    assert fakes == []
    assert spec.read_text() == SPEC

    done = flyball("tune", spec, "--resume", "run", "-o", "json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["engine_starts"], len(answer["trials"])) == (2, 1)
    assert "going on after 0 trials, 1 engine starts" in done.stderr


def test_an_engine_that_does_not_start_is_a_no(environment: dict[str, str], spec: Path, tmp_path: Path) -> None:
    """Its own words are in the result, and the exit code is 1: nothing holds the objective."""
    environment["FAKE_FAIL"] = "RuntimeError: no kernels for this processor"
    command = [sys.executable, "-m", "flyball", "tune", str(spec), "--out", "run", "-o", "json"]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 1, done.stderr
    trials = json.loads(done.stdout)["trials"]
    assert trials[0]["refusal"]["evidence"] == "RuntimeError: no kernels for this processor"
    assert spec.read_text() == SPEC


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--url", "http://127.0.0.1:1"], "--restart-command"),
        (["--restart-command", "run {flags}"], "--url"),
        (["--dollars", "3"], "--usd-per-hour"),
        (["--time", "soon"], "--time"),
        (["--resume", "nowhere"], "no folder of flyball tune"),
        (["--restart-command", "run {nonsense}", "--url", "http://127.0.0.1:1"], "{nonsense}"),
    ],
)
@pytest.mark.usefixtures("_here")
def test_wrong_usage_is_one_line_and_a_way_out(spec: Path, arguments: list[str], said: str, capsys: Captured) -> None:
    """Exit code 2, before anything is started."""
    assert run(["tune", str(spec), *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("_here")
def test_another_spec_is_not_resumed(spec: Path, tmp_path: Path, capsys: Captured) -> None:
    """Its trials would be of something else."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "journal.jsonl").write_text("")
    (tmp_path / "run" / "inputs.json").write_text(json.dumps({"spec": "other", "recipe": None, "url": None}))
    shutil.copy(spec, tmp_path / "copy.yaml")
    assert run(["tune", str(spec), "--resume", "run"]) == 2
    assert "is of another spec" in capsys.readouterr().err
