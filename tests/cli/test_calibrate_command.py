import json
from pathlib import Path

import pytest

from flyball.catalog import load_catalog
from flyball.cli.main import run
from flyball.cli.measured_files import MeasuredServer, read_measured
from flyball.measurement import RequestRecord, records_to_json
from flyball.perf.calibrations import calibrations_from_json
from flyball.perf.cpu import cpu_accelerator
from flyball.perf.efficiency import Efficiency
from flyball.perf.load import LoadRequest, serve
from measured_engines import LLAMA, engine

_TRUE = Efficiency(compute=0.5, memory=0.75)


def _run_folder(folder: Path, requests: int = 12, clients: int = 2) -> Path:
    """A run of flyball bench against an engine with the true factors."""
    started = engine(max_num_seqs=64)
    served = serve(
        started.step_model(_TRUE),
        [LoadRequest(900, 40)] * requests,
        kv_cache_tokens=started.kv_cache_tokens,
        concurrency=clients,
    )
    records = [
        RequestRecord(
            index=index,
            intended_s=each.sent_s,
            sent_s=each.sent_s,
            first_token_s=each.first_token_s,
            last_token_s=each.last_token_s,
            end_s=each.last_token_s,
            prompt_tokens=900,
            output_tokens=40,
            requested_output_tokens=40,
            outcome="ok",
        )
        for index, each in enumerate(served)
    ]
    folder.mkdir()
    (folder / "records.jsonl").write_text(records_to_json(records))
    inputs = {"model": "chat", "workload": {"arrivals": {"closed_loop": clients}}}
    (folder / "inputs.json").write_text(json.dumps(inputs))
    return folder


def test_a_bench_run_is_fitted_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Factors and residuals come out, and a file that holds the same factors, for the chip and version named."""
    folder, kept = _run_folder(tmp_path / "run"), tmp_path / "kept.json"
    arguments = ["--accelerator", "h200", "--model", LLAMA, "--vllm", "0.26.0", "--engine", "max_num_seqs=64"]
    assert run(["calibrate", str(folder), *arguments, "--save", str(kept), "-o", "json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    (saved,) = calibrations_from_json(kept.read_text(), source="kept.json")
    assert (saved.accelerator, saved.version, saved.models) == ("H200", "0.26.0", (LLAMA,))
    assert saved.efficiency.compute == pytest.approx(report["efficiency"]["compute"], rel=1e-3)
    tpot = next(each for each in report["residuals"] if each["statistic"] == "tpot_mean_s")
    assert abs(tpot["error"]) < 0.05


def test_a_dry_run_keeps_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table says how far off each load is."""
    folder, kept = _run_folder(tmp_path / "run", requests=4), tmp_path / "kept.json"
    arguments = ["--accelerator", "h200", "--model", LLAMA, "--save", str(kept), "--dry-run"]
    assert run(["calibrate", str(folder), *arguments]) == 0
    assert "TPOT mean" in capsys.readouterr().out
    assert not kept.exists()


def test_many_loads_are_summed_up_by_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """More than a screenful of loads is one line a model, as it was served."""
    boots = {"a": {"flags": {"tensor_parallel_size": 2, "quantization": "fp8"}, "model": LLAMA}}
    load = {
        "boot": "a", "arrivals": {"closed_loop_concurrency": 1},
        "requests": [
            {"start_s": 0.0, "ttft_s": 0.05, "e2e_s": 0.5, "prompt_tokens": 500, "output_tokens": 9}
        ],
    }  # fmt: skip
    lines = [json.dumps({**load, "arrivals": {"closed_loop_concurrency": clients}}) for clients in range(1, 25)]
    (tmp_path / "x-loads.jsonl").write_text("\n".join(lines))
    (tmp_path / "x-boots.json").write_text(json.dumps(boots))
    assert run(["calibrate", str(tmp_path / "x-loads.jsonl"), "--accelerator", "H100", "--dry-run"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if LLAMA in line]
    assert len(rows) == 1
    assert rows[0].split()[:5] == [LLAMA, "fp8-8,", "TP", "2", "24"]


def test_the_local_engine_is_calibrated_as_a_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On as many cores as the run's machine has; it never schedules ahead."""
    folder = _run_folder(tmp_path / "run", requests=3)
    inputs = json.loads((folder / "inputs.json").read_text())
    (folder / "inputs.json").write_text(json.dumps({**inputs, "machine": "x86_64, 2 cores, 23.5 GiB, Linux"}))
    server = MeasuredServer(catalog=load_catalog(), accelerator="CPU", model=LLAMA, version="0.32.0")
    (load,), _ = read_measured(folder, server)
    assert load.engine.accelerator == cpu_accelerator(2)
    assert not load.engine.async_scheduling
    assert run(["calibrate", str(folder), "--accelerator", "cpu", "--model", LLAMA, "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("CPU, vLLM")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "no measurement"),
        (["nowhere"], "there is no nowhere"),
        (["{lengths}"], "holds no measurements"),
        (["{sim}"], "does not name its GPU"),
        (["{sim}", "--accelerator", "H200"], "not written as its name promises"),
        (["{rows}"], "not written as its name promises"),
        (["{run}"], "no accelerator"),
        (["{run}", "--accelerator", "H200"], "calls its model 'chat'"),
        (["{run}", "--accelerator", "H200", "--model", "./nothing"], "nothing"),
        (["{broken}", "--accelerator", "H200", "--model", LLAMA], "broken-loads.jsonl:1"),
        (["{alone}", "--accelerator", "H200", "--model", LLAMA], "alone-boots.json"),
    ],
)
def test_what_is_missing_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], part: str
) -> None:
    """One line and exit code 2, whatever the files lack."""
    (tmp_path / "broken-loads.jsonl").write_text('{"boot": "a"}\n')
    (tmp_path / "broken-boots.json").write_text('{"a": {"flags": {}}}')
    (tmp_path / "alone-loads.jsonl").write_text("")
    (tmp_path / "lens.jsonl").write_text('{"input_toks": 1}\n{"input_toks": 2}\n')
    (tmp_path / "rows.csv").write_text("one,two\n1,2\n")
    (tmp_path / "sim").mkdir()
    meta = {"model": LLAMA, "vllm_version": "0.19.0", "engine_kwargs": {"max_num_seqs": 8}}
    (tmp_path / "sim" / "meta.json").write_text(json.dumps(meta))
    (tmp_path / "sim" / "requests.jsonl").write_text('{"input_toks": 1}\n')
    places = {
        "lengths": str(tmp_path / "lens.jsonl"),
        "sim": str(tmp_path / "sim"),
        "rows": str(tmp_path / "rows.csv"),
        "run": str(_run_folder(tmp_path / "run", requests=2)),
        "broken": str(tmp_path / "broken-loads.jsonl"),
        "alone": str(tmp_path / "alone-loads.jsonl"),
    }
    assert run(["calibrate", *(argument.format(**places) for argument in arguments), "--dry-run"]) == 2
    assert part in capsys.readouterr().err
