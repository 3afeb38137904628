import os
from dataclasses import replace
from pathlib import Path

import pytest

from flyball.errors import OutsideError, UsageError
from flyball.local.background import describe, forget, read_state, running_fleets, the_fleet, write_state
from flyball.local.timeline import FleetEvent, FleetSample, ReplicaSample, Timeline

TIMELINE = Timeline(
    samples=[FleetSample(t_s=1, desired=2, replicas=(ReplicaSample(name="r1", state="ready", running=1, waiting=0),))],
    events=[FleetEvent(t_s=1, kind="ready", text="r1 ready", replica="r1")],
)
STATE = describe("chat", url="http://127.0.0.1:8000", log="logs", phase="running", timeline=TIMELINE)


def test_state_survives_the_file(tmp_path: Path) -> None:
    """What a fleet writes is what another process reads."""
    write_state(tmp_path, STATE)

    assert read_state(tmp_path) == STATE
    assert STATE.ready == 1
    assert STATE.desired == 2


def test_a_dead_fleet_is_not_found(tmp_path: Path) -> None:
    """A state file whose process is gone, or whose pid is another's by now, is removed."""
    write_state(tmp_path / "chat", replace(STATE, process_created=STATE.process_created - 100))

    assert running_fleets(tmp_path) == []
    assert read_state(tmp_path / "chat") is None


def test_the_only_fleet_needs_no_name(tmp_path: Path) -> None:
    """With one fleet running its name may be left out; with two it may not."""
    write_state(tmp_path / "chat", STATE)
    assert the_fleet(tmp_path, None).pid == os.getpid()

    write_state(tmp_path / "code", replace(STATE, name="code"))
    with pytest.raises(UsageError, match="2 fleets are running: chat, code"):
        the_fleet(tmp_path, None)
    assert the_fleet(tmp_path, "code").name == "code"


def test_no_fleet_is_said_so(tmp_path: Path) -> None:
    """A name that nobody runs under is a usage error that says how to start one."""
    with pytest.raises(UsageError, match="no fleet named chat is running"):
        the_fleet(tmp_path, "chat")


def test_a_broken_state_file_is_named(tmp_path: Path) -> None:
    """Half a file is an error of the outside with the file's name."""
    (tmp_path / "fleet.json").write_text("{")

    with pytest.raises(OutsideError, match=r"fleet\.json"):
        read_state(tmp_path)
    forget(tmp_path)
    assert read_state(tmp_path) is None
