"""`flyball calibrate`."""

import json
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from flyball.catalog import load_catalog
from flyball.cli.calibrations_file import read_calibrations, user_calibrations, write_calibrations
from flyball.cli.measured_files import MeasuredServer, read_measured
from flyball.cli.memory import parse_flags
from flyball.cli.spec_file import read_text
from flyball.errors import UsageError
from flyball.perf.calibration import Calibration, Over, Residual
from flyball.perf.calibration import calibrate as fit
from flyball.perf.calibrations import calibration_for, replaced
from flyball.perf.measured_load import MeasuredLoad
from flyball.spec import parse_yaml

_ONE_PROCESS = 2000
"""Requests that one process predicts often enough in the time that others take to start."""
_LISTED = 20
"""Loads of one chip that are shown one by one; more are summed up by model."""
_SHOWN = {"ttft_mean_s": "TTFT mean", "tpot_mean_s": "TPOT mean", "requests_per_s": "requests/s"}


def calibrate(
    *runs: Path,
    accelerator: str | None = None,
    model: str | None = None,
    vllm: Annotated[str | None, Parameter(name="--vllm")] = None,
    engine: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    source: str | None = None,
    save: Path | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    catalog: Path | None = None,
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Fit the factors of the step-time model to measurements, and keep them for this accelerator and vLLM version.

    Parameters
    ----------
    runs
        Run folders of `flyball bench`, or files X-loads.jsonl beside X-boots.json. Several loads are better than one:
        a single client, a saturated engine, and something between.
    accelerator
        What was measured, like H200, where the files do not say it; CPU for the local engine on its cores.
    model
        What was served, where the files do not say it.
    vllm
        The server's version; by default the newest that is known.
    engine
        Flags that the server was started with: --engine max_num_seqs=64 tensor_parallel_size=2.
    source
        Where the measurements are from, kept with the factors.
    save
        The file to keep the factors in; by default flyball's own in your data folder, which `flyball plan` reads.
    dry_run
        Show the fit and keep nothing.
    catalog
        A YAML file with your own `accelerators`.
    output
        A table of every load, predicted against measured, or JSON.

    """
    chips = load_catalog(None if catalog is None else parse_yaml(read_text(catalog), source=str(catalog)))
    server = MeasuredServer(
        catalog=chips, accelerator=accelerator, model=model, version=vllm, flags=parse_flags(engine or ())
    )
    talk = Console(stderr=True)
    loads = _read(runs, server, talk)
    file = save or user_calibrations()
    named = source or ", ".join(str(run) for run in runs)
    own, report = _fit_each_chip(loads, read_calibrations(file), source=named, talk=talk)
    if not dry_run:
        write_calibrations(file, own)
        talk.print(f"kept in {file}")
    if output == "json":
        print(json.dumps([_row(*each) for each in report], indent=2))
    else:
        for each in report:
            _print(*each)
    return 0


def _fit_each_chip(
    loads: Sequence[MeasuredLoad], own: Sequence[Calibration], *, source: str, talk: Console
) -> tuple[Sequence[Calibration], list[tuple[Calibration, Sequence[Residual]]]]:
    """The user's calibrations with the new ones among them, and each new one with what it leaves unexplained."""
    report: list[tuple[Calibration, Sequence[Residual]]] = []
    for chip in dict.fromkeys(load.engine.accelerator.name for load in loads):
        of_chip = [load for load in loads if load.engine.accelerator.name == chip]
        fitted, found = _fitted(of_chip, own, source=source, talk=talk)
        own = replaced(own, fitted)
        report.append((fitted, found))
    return own, report


def _read(runs: Sequence[Path], server: MeasuredServer, talk: Console) -> list[MeasuredLoad]:
    if not runs:
        raise UsageError("no measurement is named", fix="name run folders of `flyball bench`, or files of loads")
    loads: list[MeasuredLoad] = []
    rows_left_out = 0
    for run in runs:
        found, left_out = read_measured(run, server)
        loads += found
        rows_left_out += sum(left_out.values())
        for reason, count in left_out.items():
            talk.print(f"{run}: {count} left out: {reason}", highlight=False)
    if not loads:
        fix = "the reasons stand above" if rows_left_out else "measure with `flyball bench` first"
        raise UsageError("the files hold no load that can be used", fix=fix)
    return loads


def _fitted(
    loads: Sequence[MeasuredLoad], own: Sequence[Calibration], *, source: str, talk: Console
) -> tuple[Calibration, Sequence[Residual]]:
    engine = loads[0].engine
    today = f"{datetime.now().astimezone():%Y-%m-%d}"
    start = calibration_for(engine.accelerator, engine.version, own).efficiency
    with _cores(loads) as over, Progress(console=talk, transient=True) as bar:
        task = bar.add_task(f"fitting {engine.accelerator.name}, {len(loads)} loads", total=1.0)

        def progress(share: float) -> None:
            bar.update(task, completed=share)

        return fit(loads, start=start, source=source, as_of=today, over=over, progress=progress)


@contextmanager
def _cores(loads: Sequence[MeasuredLoad]) -> Iterator[Over]:
    """Processes that share the work, if there is enough of it."""
    if sum(len(load.requests) for load in loads) < _ONE_PROCESS:
        yield map
        return
    with ProcessPoolExecutor(mp_context=get_context("forkserver"), initializer=_leave_interrupts) as pool:
        yield partial(pool.map, chunksize=2)


def _leave_interrupts() -> None:
    """To the process that shows the progress."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _row(calibration: Calibration, found: Sequence[Residual]) -> dict[str, Any]:
    return {**asdict(calibration), "residuals": [{**asdict(each), "error": round(each.error, 4)} for each in found]}


def _print(calibration: Calibration, found: Sequence[Residual]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(f"{calibration.accelerator}, vLLM {calibration.version}", highlight=False)
    console.print({name: float(f"{value:.3g}") for name, value in asdict(calibration.efficiency).items()})
    console.print(_by_load(found) if len({each.load for each in found}) <= _LISTED else _by_model(found))
    tpot, ttft = f"{calibration.error:.0%}", f"{calibration.ttft_error:.0%}"
    console.print(f"expected of other loads: TPOT and throughput within {tpot}, TTFT within {ttft}", highlight=False)


def _by_load(found: Sequence[Residual]) -> Table:
    table = Table("load", *_SHOWN.values(), box=None, caption="measured, and by how much the prediction differs")
    for load in dict.fromkeys(each.load for each in found):
        cells = {each.statistic: each for each in found if each.load == load}
        table.add_row(load, *(_cell(cells.get(name)) for name in _SHOWN))
    return table


def _by_model(found: Sequence[Residual]) -> Table:
    caption = "bias, and what half and nine of ten predictions stay within; -o json lists every load"
    table = Table("model", "loads", *_SHOWN.values(), box=None, caption=caption)
    for model in sorted({each.model for each in found}):
        of_model = [each for each in found if each.model == model]
        errors = {name: [each.error for each in of_model if each.statistic == name] for name in _SHOWN}
        table.add_row(model, str(max(map(len, errors.values()))), *(_spread(errors[name]) for name in _SHOWN))
    return table


def _spread(errors: Sequence[float]) -> str:
    if not errors:
        return "-"
    half, most = np.percentile(np.abs(errors), (50, 90))
    return f"{np.median(errors):+.0%}, {half:.0%}, {most:.0%}"


def _cell(residual: Residual | None) -> str:
    if residual is None:
        return "-"
    if residual.statistic == "requests_per_s":
        return f"{residual.measured:.2f}/s, {residual.error:+.1%}"
    return f"{residual.measured * 1000:.1f} ms, {residual.error:+.1%}"
