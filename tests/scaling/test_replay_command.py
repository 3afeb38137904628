"""`flyball replay` as its user sees it."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from flyball.cli.replay import replay
from flyball.errors import UsageError

DATA = Path(__file__).parent / "data" / "hpa-controller-traces.json.gz"


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    path = tmp_path / "traces.json"
    path.write_bytes(gzip.decompress(DATA.read_bytes()))
    return path


def one(recorded: Path, name: str) -> dict[str, Any]:
    traces: list[dict[str, Any]] = json.loads(recorded.read_text())
    return next(trace for trace in traces if trace["name"] == name)


def syncs_of(trace: dict[str, Any]) -> list[dict[str, Any]]:
    return [event for event in trace["events"] if event["kind"] == "sync"]


def test_json_has_one_object_for_each_sync(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is one JSON document, one object a line; the summary is talk."""
    assert replay(recorded, output="json") == 0
    captured = capsys.readouterr()
    rows = json.loads(captured.out)
    assert len(rows) == 907 == len(captured.out.splitlines()) - 2
    assert rows[0] == {
        "scenario": "02a-tolerance-11-11",
        "n": 1,
        "t": 2.007,
        "proposal": 2,
        "desired": 2,
        "reason": "2 pods at 11 against a target of 10: within 0.9 to 1.1 times the target, 2 stays",
        "limited_by": "tolerance",
        "recorded_proposal": 2,
        "recorded_desired": 2,
        "agrees": True,
    }
    assert captured.err == "907 of 907 syncs as recorded\n"


def test_the_account_explains_every_decision(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A heading, a line for each sync and a summary."""
    assert replay(recorded, scenario="24-spec-change") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("24-spec-change: maxReplicas 20 -> 2 at 10 s")
    assert lines[1].split() == ["sync", "t", "(s)", "replicas", "proposal", "limited", "by", "recorded", "reason"]
    assert lines[7].split()[:5] == ["6", "12.166", "4", "->", "2"]
    assert "corrected at once" in lines[7]
    assert lines[-1] == "20 of 20 syncs as recorded"


def test_a_difference_is_shown_and_ends_in_1(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With what was recorded beside it."""
    trace = one(recorded, "24-spec-change")
    del trace["description"]
    syncs_of(trace)[0]["proposal"] = 7
    recorded.write_text(json.dumps(trace))
    assert replay(recorded) == 1
    out = capsys.readouterr().out
    assert out.startswith("24-spec-change\n")
    assert "7, -> 4" in out
    assert "19 of 20 syncs as recorded, the first other is sync 1 of 24-spec-change; 0 of the others" in out


def test_a_difference_that_is_a_race_is_no_answer(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The recorder cannot say what the controller saw there."""
    trace = one(recorded, "24-spec-change")
    syncs_of(trace)[0] |= {"proposal": 3, "pod_change_nearby": True}
    recorded.write_text(json.dumps(trace))
    assert replay(recorded) == 0
    assert "1 of the others are marked as races" in capsys.readouterr().out


def test_a_trace_of_inputs_alone_is_replayed_without_comparison(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One's own recording of metrics needs no controller."""
    trace = one(recorded, "02f-tolerance-11001m")
    for sync in syncs_of(trace):
        del sync["proposal"], sync["set_replicas"]
    recorded.write_text(json.dumps(trace))
    assert replay(recorded) == 0
    assert "the trace does not say what the controller decided" in capsys.readouterr().out
    assert replay(recorded, output="json") == 0
    assert "agrees" not in json.loads(capsys.readouterr().out)[0]


def test_a_scenario_that_failed_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before its syncs, if it has any."""
    path = tmp_path / "trace.json"
    path.write_text(json.dumps({"name": "refused", "error": "minReplicas 0: Invalid", "events": []}))
    assert replay(path) == 0
    assert capsys.readouterr().out.splitlines()[:2] == ["refused", "did not run as written: minReplicas 0: Invalid"]


@pytest.mark.parametrize("content", ["{", "[" * 100_000, '{"name": NaN1}'])
def test_what_is_not_json_is_refused(tmp_path: Path, content: str) -> None:
    """With the file's name."""
    path = tmp_path / "broken.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=r"broken\.json is not JSON"):
        replay(path)


def test_an_unknown_scenario_lists_those_there_are(recorded: Path) -> None:
    """So that the next try works."""
    with pytest.raises(UsageError) as caught:
        replay(recorded, scenario="24")
    assert "24-spec-change" in caught.value.fix


def test_a_missing_file_is_wrong_usage(tmp_path: Path) -> None:
    """Exit code 2, not a traceback."""
    with pytest.raises(UsageError, match="no such file"):
        replay(tmp_path / "none.json")
