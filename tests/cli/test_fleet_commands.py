"""`flyball up`, `status` and `down` as a user runs them, against an installed engine that is a fake."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from fake_engine import fake_home
from flyball.local.background import read_state
from flyball.processes import free_port

pytestmark = pytest.mark.envoy

SPEC = """
name: {name}
model: {{id: fake}}
scaling: {{min: 1, max: 2}}
engine: {{max_num_seqs: 2}}
gateway: {{port: {port}}}
local: {{kv_cache: 64Mi, drain_timeout: 20s}}
"""

Flyball = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    home = fake_home(tmp_path / "home")
    return {**os.environ, "FLYBALL_HOME": str(home.root), "COLUMNS": "160"}


@pytest.fixture
def flyball(environment: dict[str, str], tmp_path: Path) -> Flyball:
    def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "flyball", *arguments]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=40, check=False
        )

    return call


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC.format(name="chat", port=free_port()))
    return path


@pytest.fixture(autouse=True)
def no_process_is_left(tmp_path: Path) -> Iterator[None]:
    """Whatever a test does, nothing that was started in its folder is alive after it."""
    yield
    left = [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(tmp_path) in " ".join(process.info["cmdline"] or [])
    ]
    _, alive = psutil.wait_procs(left, timeout=5)
    assert [process.info["cmdline"] for process in alive] == []


def test_a_fleet_in_the_background_is_found_and_stopped(flyball: Flyball, spec: Path) -> None:
    """`up --detach` prints the URL when it serves, `status` describes it, `down` drains it."""
    up = flyball("up", str(spec), "--detach")
    assert up.returncode == 0, up.stderr
    url = up.stdout.strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
    assert f"curl {url}/v1/chat/completions" in up.stderr

    status = flyball("status", "-o", "json")
    state = json.loads(status.stdout)
    assert (state["name"], state["url"], state["phase"]) == ("chat", url, "running")
    assert "r1" in flyball("status").stdout

    twin = flyball("up", str(spec))
    assert twin.returncode == 2
    assert "a fleet named chat is running already" in twin.stderr

    assert flyball("down").returncode == 0
    again = flyball("down")
    assert again.returncode == 2
    assert "no fleet is running" in again.stderr


def test_a_start_that_fails_in_the_background_says_why(
    flyball: Flyball, spec: Path, environment: dict[str, str]
) -> None:
    """The cause comes back to the terminal with exit code 3, and no fleet is found afterwards."""
    environment["FAKE_FAIL"] = "ValueError: Model architectures ['FooForCausalLM'] are not supported for now."

    up = flyball("up", str(spec), "--detach")

    assert up.returncode == 3
    assert "FooForCausalLM" in up.stderr
    assert flyball("status").returncode == 2


def test_a_port_that_is_taken_is_named(flyball: Flyball, spec: Path) -> None:
    """The message has the port and the key of the spec that sets it."""
    assert flyball("up", str(spec), "--detach").returncode == 0
    spec.write_text(spec.read_text().replace("name: chat", "name: code"))

    up = flyball("up", str(spec), "--detach")

    assert up.returncode == 2
    assert "gateway.port" in up.stderr
    assert "is in use" in up.stderr
    assert flyball("down", "chat", "--now").returncode == 0


def test_without_an_engine_there_is_one_line_to_run(
    flyball: Flyball, spec: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    """A machine without the engine is told how to get it."""
    environment["FLYBALL_HOME"] = str(tmp_path / "empty")

    for verb in ("up", "prove"):
        result = flyball(verb, str(spec))
        assert result.returncode == 3
        assert "flyball engine install" in result.stderr


def _await_running(folder: Path) -> None:
    """Until the fleet has seen a request run."""
    while not (state := read_state(folder)) or not any(replica["running"] for replica in state.replicas):
        time.sleep(0.05)


@pytest.mark.parametrize("signals", [1, 2])
def test_ctrl_c_in_the_foreground(environment: dict[str, str], spec: Path, tmp_path: Path, signals: int) -> None:
    """One Ctrl-C drains and exits with 0; two stop at once and exit with 130."""
    environment["FAKE_TOKENS_PER_S"] = "2"
    command = [sys.executable, "-m", "flyball", "up", str(spec)]
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = ""
        for line in process.stderr:
            if match := re.search(r"ready: (http://\S+)", line):
                url = match[1]
                break
        body = '{"messages": [{"role": "user", "content": "x"}], "max_tokens": 8}'
        curl = ["curl", "-s", f"{url}/v1/chat/completions", "-H", "content-type: application/json", "-d", body]
        with subprocess.Popen(curl, stdout=subprocess.PIPE, text=True) as request:
            _await_running(Path(environment["FLYBALL_HOME"]) / "fleets" / "chat")
            process.send_signal(signal.SIGINT)
            for line in process.stderr:
                if "draining" in line:
                    break
            if signals == 2:
                process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
            process.wait(30)
            answer = request.communicate()[0]

    assert process.returncode == (0 if signals == 1 else 130)
    assert ("drained and stopped" if signals == 1 else "stopped at once") in rest
    assert ("Paris" in answer) is (signals == 1)
