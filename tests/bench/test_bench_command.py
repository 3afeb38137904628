import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from flyball.cli.main import run
from flyball.measurement import records_from_json
from scripted_vllm import Script, ScriptedVLLM

SHAPE = {"arrivals": {"poisson": 100}, "prompt_tokens": {"fixed": 12}, "output_tokens": {"fixed": 4}}


@contextmanager
def _serving(script: Callable[[dict[str, Any]], Script] = lambda _: Script()) -> Iterator[ScriptedVLLM]:
    """A scripted server on a thread of its own."""
    server, started, loop = ScriptedVLLM(script), threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with server:
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        started.wait(10)
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _workload(folder: Path, **changes: object) -> Path:
    path = folder / "workload.yaml"
    path.write_text(yaml.safe_dump(SHAPE | changes))
    return path


def _spec(folder: Path, ttft: str) -> Path:
    path = folder / "spec.yaml"
    spec = {"model": {"id": "tiny"}, "slo": {"ttft": {"p95": ttft}}, "workload": SHAPE}
    path.write_text(yaml.safe_dump(spec))
    return path


def test_a_measurement_leaves_a_run_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder has every request, the summary and the inputs; the table has the numbers; standard error is silent."""
    with _serving() as server:
        code = run(["bench", server.url, "--workload", str(_workload(here)), "--requests", "30", "--warmup", "3"])
    printed = capsys.readouterr()
    assert code == 0
    assert printed.err == ""
    (folder,) = (here / "runs").iterdir()
    assert re.fullmatch(r"bench-\d{8}-\d{6}", folder.name)
    assert printed.out.splitlines()[-1] == f"runs/{folder.name}"
    assert "tiny, server of unknown version: 30 requests in" in printed.out
    assert "(30 ok)" in printed.out
    records = records_from_json((folder / "records.jsonl").read_text(), source="records")
    assert [(record.index, record.output_tokens, record.outcome) for record in records] == [
        (index, 4, "ok") for index in range(30)
    ]
    assert len(records_from_json((folder / "warm-up.jsonl").read_text(), source="warm-up")) == 3
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["summary"]["outcomes"] == {"ok": 30}
    assert summary["warm_up"]["requests"] == 3
    assert summary["interrupted"] is False
    inputs = json.loads((folder / "inputs.json").read_text())
    assert (inputs["url"], inputs["model"], inputs["seed"], inputs["requests"]) == (server.url, "tiny", 0, 30)
    assert inputs["workload"]["arrivals"] == {"poisson": 100.0}
    assert inputs["flyball"]
    assert len({served.body["messages"][0]["content"] for served in server.served}) == 33


def test_json_goes_to_standard_output(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With -o json the output is one JSON document, with the folder that --out named."""
    with _serving() as server:
        code = run(
            ["bench", server.url, "--rate", "50", "--requests", "5", "--warmup", "0", "--out", "mine", "-o", "json"]
        )
    document = json.loads(capsys.readouterr().out)
    assert code == 0
    assert document["folder"] == "mine"
    assert document["warm_up"] is None
    assert document["summary"]["requests"] == 5
    assert (here / "mine" / "records.jsonl").exists()


@pytest.mark.parametrize(("ttft", "code", "holds"), [("10s", 0, True), ("1ms", 1, False)])
def test_the_specs_objective_decides(
    here: Path, capsys: pytest.CaptureFixture[str], ttft: str, code: int, holds: bool
) -> None:
    """The exit code says whether the spec's objective holds, and the table what was measured against it."""
    with _serving(lambda _: Script(gap_s=0.001)) as server:
        arguments = ["bench", server.url, "--spec", str(_spec(here, ttft)), "--requests", "10", "--warmup", "1"]
        assert run([*arguments, "--out", "a"]) == code
        table = capsys.readouterr().out
        assert run([*arguments, "--out", "b", "-o", "json"]) == code
    assert re.search(r"TTFT p95 +│ +[\d.]+ m?s +│ +[\d.]+ m?s +│ +" + ("yes" if holds else "no"), table)
    assert "goodput" in table
    (objective,) = json.loads(capsys.readouterr().out)["objectives"]
    assert (objective["metric"], objective["percentile"], objective["holds"]) == ("ttft", 95, holds)


def test_a_run_without_one_answer_is_an_outside_failure(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If every request fails the exit code is 3, the server's own words are shown, and the records are kept."""
    with _serving(lambda _: Script(status=503, message="the queue is full")) as server:
        code = run(["bench", server.url, "--workload", str(_workload(here)), "--requests", "4", "--out", "r"])
    assert code == 3
    assert "4 x rejected: HTTP 503: the queue is full" in capsys.readouterr().out
    assert (here / "r" / "records.jsonl").read_text().count("\n") == 4


def test_a_closed_loop_by_option(here: Path) -> None:
    """--concurrency takes the place of the file's arrivals, and --duration ends it."""
    with _serving(lambda _: Script(gap_s=0.005)) as server:
        arguments = ["--workload", str(_workload(here)), "--concurrency", "3", "--duration", "200ms", "--warmup", "0"]
        assert run(["bench", server.url, *arguments, "--out", "r"]) == 0
    assert server.most_under_way == 3
    assert json.loads((here / "r" / "inputs.json").read_text())["workload"]["arrivals"] == {"closed_loop": 3}


def test_a_trace_beside_its_workload_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trace is found beside the file that names it and replayed whole, with its lengths."""
    folder = here / "elsewhere"
    folder.mkdir()
    (folder / "trace.csv").write_text("arrival_s,prompt_tokens,output_tokens\n0,5,2\n0.1,6,3\n")
    path = _workload(folder, arrivals={"trace": "trace.csv"})
    with _serving() as server:
        assert run(["bench", server.url, "--workload", str(path), "--warmup", "2", "--out", "r"]) == 0
    records = records_from_json((here / "r" / "records.jsonl").read_text(), source="r")
    assert [(record.prompt_tokens, record.output_tokens) for record in records] == [(5, 2), (6, 3)]
    assert all(served.body["max_tokens"] in (2, 3) for served in server.served)


def test_the_key_comes_from_the_environment(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is sent, and written nowhere."""
    monkeypatch.setenv("SOME_KEY", "s3cret")
    with _serving() as server:
        arguments = ["--rate", "100", "--requests", "2", "--api-key-env", "SOME_KEY", "--out", "r"]
        assert run(["bench", server.url, *arguments]) == 0
    assert server.served[0].headers["authorization"] == "Bearer s3cret"
    assert not any("s3cret" in file.read_text() for file in (here / "r").iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["localhost:8000"], 2, "'localhost:8000' is not a server's address"),
        (["http://127.0.0.1:9"], 3, "http://127.0.0.1:9/v1/models: connection refused"),
        (["URL", "--workload", "absent.yaml"], 2, "absent.yaml: no such file"),
        (["URL", "--workload", "typo.yaml"], 2, "typo.yaml: arivals: unknown key; did you mean arrivals?"),
        (["URL", "--workload", "trace.yaml"], 2, "absent.csv: no such file"),
        (["URL", "--spec", "absent.yaml"], 2, "absent.yaml: no such file"),
        (["URL", "--model", "huge"], 2, "has no model 'huge'"),
        (["URL", "--rate", "1", "--concurrency", "1"], 2, "--rate and --concurrency are two kinds of arrivals"),
        (["URL", "--rate", "0"], 2, "--rate"),
        (["URL", "--rate", "nan"], 2, "--rate"),
        (["URL", "--requests", "-1"], 2, "--requests"),
        (["URL", "--duration", "30"], 2, "--duration: '30' is not a duration"),
        (["URL", "--duration", "0s"], 2, "--duration must be longer than 0"),
        (["URL", "--api-key-env", "FLYBALL_ABSENT"], 2, "the environment variable FLYBALL_ABSENT is not set"),
        (["URL", "--out", "typo.yaml"], 2, "typo.yaml is there already"),
    ],
)
def test_mistakes(here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str) -> None:
    """Each mistake is two lines on standard error, the right exit code, no load and no folder."""
    (here / "typo.yaml").write_text("arivals: {poisson: 1}\n")
    (here / "trace.yaml").write_text("arrivals: {trace: absent.csv}\n")
    with _serving() as server:
        assert run(["bench", *[server.url if argument == "URL" else argument for argument in arguments]]) == code
    printed = capsys.readouterr()
    assert says in printed.err
    assert len(printed.err.splitlines()) == 2
    assert printed.out == ""
    assert server.served == []
    assert not (here / "runs").exists()


def _stalled() -> AbstractContextManager[ScriptedVLLM]:
    return _serving(lambda _: Script(hold=asyncio.Event()))


def _start(here: Path, server: ScriptedVLLM, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "flyball", "bench", server.url, "--workload", str(_workload(here)), *arguments],
        cwd=here,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONWARNINGS": "error"},
    )


def _wait_for(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.01)


def test_an_interrupt_keeps_what_there_is(here: Path) -> None:
    """Ctrl-C ends the load at once: exit code 130, every request recorded, the run marked."""
    with _stalled() as server, _start(here, server, "--out", "r", "--warmup", "0") as process:
        _wait_for(lambda: len(server.served) >= 5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "")
    assert "Interrupted" in out
    records = records_from_json((here / "r" / "records.jsonl").read_text(), source="r")
    assert len(records) >= 5
    assert {record.outcome for record in records} == {"cancelled"}
    assert json.loads((here / "r" / "summary.json").read_text())["interrupted"] is True


def test_an_interrupted_warm_up_measures_nothing(here: Path) -> None:
    """Ctrl-C during the warm-up ends the run without a load."""
    with _stalled() as server, _start(here, server, "--out", "r", "--warmup", "2") as process:
        _wait_for(lambda: len(server.served) == 2)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130
    assert (here / "r" / "records.jsonl").read_text() == ""
    assert len(server.served) == 2
