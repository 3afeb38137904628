"""`flyball tune`."""

import asyncio
import contextlib
import difflib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from cyclopts import Parameter, validators
from rich.console import Console

from flyball.catalog import load_catalog
from flyball.cli.calibrations_file import read_calibrations, user_calibrations
from flyball.cli.exit_code import INTERRUPTED
from flyball.cli.run_folder import new_run_folder, provenance
from flyball.cli.spec_file import read_spec, read_text
from flyball.cli.tune_table import print_trials
from flyball.engine import Engine, Home, find_engine
from flyball.errors import OutsideError, UsageError
from flyball.planning import demand
from flyball.report.tune_page import tune_page
from flyball.spec import ServingSpec, TuneSpec
from flyball.tune.journal import Past, read_journal
from flyball.tune.outcome import Outcome
from flyball.tune.run import Inputs, Progress, Restart, run
from flyball.tune.spec_edit import with_tuned_flags
from flyball.units import parse_duration
from flyball.workload import read_recordings

_SEED = 0  # of the sample that the model serves, as in `flyball plan`
_Positive = Parameter(validator=validators.Number(gt=0))


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What the search may cost, in place of the spec's `tune` section."""

    restarts: Annotated[int | None, _Positive] = None
    """Engine starts in all, instead of the spec's tune.restarts."""
    time: str | None = None
    """No further start after this long, like 30m."""
    dollars: Annotated[float | None, _Positive] = None
    """No further start after this much has been spent."""
    usd_per_hour: Annotated[float | None, _Positive] = None
    """What the server costs."""


_SPECS_OWN = Budget()


def tune(
    spec: Path,
    *,
    resume: Path | None = None,
    restart_command: str | None = None,
    url: str | None = None,
    recipe: Literal["decrement"] | None = None,
    budget: Budget = _SPECS_OWN,
    write: Annotated[bool, Parameter(negative="")] = False,
    seed: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0,
    out: Path | None = None,
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Find the engine flags with the highest goodput under the spec's objective, on a real server, in few restarts.

    Exit code 1: nothing that was tried holds the objective at any rate; 130: interrupted, go on with --resume.

    Parameters
    ----------
    spec
        The spec file; its `tune` section holds bounds and budget.
    resume
        The run folder of an interrupted search: its trials count.
    restart_command
        A shell command that restarts the server at --url; {flags} in it becomes vLLM's options.
    url
        The server that --restart-command restarts.
    recipe
        decrement: the usual recipe instead of the search, for comparison: 32 sequences fewer until E2E p95 < 500 ms.
    budget
        What it may cost.
    write
        Write the flags that were found into the spec; without it the change is only shown.
    seed
        Of arrivals, lengths and prompts.
    out
        The run folder; runs/tune-DATE-TIME by default.
    output
        A table of the trials, or JSON.

    """
    text = read_text(spec)
    serving = _with_budget(read_spec(spec), budget)
    server = _server(restart_command, url)
    past = None if resume is None else _past(resume, text, recipe, url)
    folder = resume or new_run_folder("tune", out)
    about = provenance(seed, **_about(server))
    if past is None:
        _write(folder / "inputs.json", json.dumps({**about, "recipe": recipe, "url": url, "spec": text}, indent=2))
    inputs = _inputs(spec, serving, server, seed=seed, recipe=recipe is not None, folder=folder)
    progress, interrupted = _search(inputs, past)
    outcome = _outcome(inputs, progress, about)
    _write(folder / "result.json", json.dumps(outcome.to_dict(), indent=2))
    _write(folder / "report.html", tune_page(outcome))
    write = write and not interrupted
    _tell(outcome, _changed(spec, text, outcome, write=write), spec=spec, folder=folder, write=write, output=output)
    return INTERRUPTED if interrupted else int(outcome.chosen is None)


def _inputs(
    spec: Path, serving: ServingSpec, server: Engine | Restart, *, seed: int, recipe: bool, folder: Path
) -> Inputs:
    recordings = read_recordings(serving.workload, lambda name: read_text(spec.parent / name))
    return Inputs(
        spec=serving,
        recordings=recordings,
        demand=demand(serving.workload, slo=serving.slo, recordings=recordings, rng=np.random.default_rng(_SEED)),
        catalog=load_catalog(),
        calibrations=read_calibrations(user_calibrations()),
        server=server,
        seed=seed,
        recipe=recipe,
        folder=folder,
    )


def _search(inputs: Inputs, past: Past | None) -> tuple[Progress, bool]:
    """What was found, and whether Ctrl-C ended it."""
    console, began = Console(stderr=True), time.perf_counter()

    def say(line: str) -> None:
        head = "" if line.startswith(" ") else f"{time.perf_counter() - began:6.1f} s  "
        console.print(f"{head}{line}", soft_wrap=True, highlight=False, markup=False)

    progress = Progress()
    try:
        with console.status("") if console.is_terminal else contextlib.nullcontext() as status:
            progress.show = progress.show if status is None else status.update
            asyncio.run(run(inputs, past=past, say=say, progress=progress))
    except KeyboardInterrupt:
        is_ours = isinstance(inputs.server, Engine)
        left = "the engine is stopped" if is_ours else "a service that the command restarted keeps the flags it has"
        say(f"interrupted: {left}; go on with the same command and --resume {inputs.folder}")
        return progress, True
    return progress, False


def _with_budget(spec: ServingSpec, budget: Budget) -> ServingSpec:
    given = {"restarts": budget.restarts, "dollars": budget.dollars, "usd_per_hour": budget.usd_per_hour}
    changes: dict[str, float] = {name: value for name, value in given.items() if value is not None}
    if budget.time is not None:
        try:
            changes["time"] = parse_duration(budget.time)
        except ValueError as error:
            raise UsageError(f"--time: {error}", fix="for example --time 30m") from None
    limits: TuneSpec = spec.tune.model_copy(update=changes)
    if limits.dollars is not None and limits.usd_per_hour is None:
        raise UsageError("--dollars needs the server's price", fix="give --usd-per-hour, or tune.usd_per_hour")
    return spec.model_copy(update={"tune": limits})


def _server(command: str | None, url: str | None) -> Engine | Restart:
    if command is None and url is None:
        return find_engine(Home.of_user())
    if command is None:
        raise UsageError("--url names a server that cannot be restarted", fix="say how with --restart-command")
    if url is None:
        raise UsageError("--restart-command needs the server's address", fix="give it with --url")
    return Restart(template=command, url=url)


def _about(server: Engine | Restart) -> dict[str, str]:
    if isinstance(server, Restart):
        return {"target": server.url, "restart_command": server.template}
    return {"target": f"vLLM {server.version} ({server.device}) on this machine"}


def _past(folder: Path, text: str, recipe: str | None, url: str | None) -> Past:
    """UsageError if the search was another one."""
    past = read_journal(folder)
    try:
        inputs = json.loads(read_text(folder / "inputs.json"))
    except ValueError as error:
        raise UsageError(f"{folder / 'inputs.json'} is not JSON: {error}", fix="start anew, without --resume") from None
    for name, value in (("spec", text), ("recipe", recipe), ("url", url)):
        if inputs.get(name) != value:
            raise UsageError(f"{folder} is of another {name}", fix="start anew, without --resume")
    return past


def _outcome(inputs: Inputs, progress: Progress, about: dict[str, str]) -> Outcome:
    search = progress.session
    return Outcome(
        spec=inputs.spec,
        trials=() if search is None else tuple(search.trials),
        ended="" if search is None else search.ended,
        starts=0 if search is None else search.starts,
        elapsed_s=0.0 if search is None else search.elapsed_s,
        dollars=0.0 if search is None else search.dollars,
        recipe=inputs.recipe,
        curves={} if progress.guided is None else progress.guided.curves(() if search is None else search.trials),
        provenance=about,
        demand=inputs.demand,
        accelerator=progress.accelerator,
        run=inputs.folder.resolve().name,
    )


def _changed(spec: Path, text: str, outcome: Outcome, *, write: bool) -> str | None:
    """The spec's new text, None where nothing changes; written in one step if that is asked for."""
    if outcome.chosen is None or (outcome.recipe and not outcome.improved):
        return None
    new = with_tuned_flags(text, outcome.unset, evidence=outcome.evidence, record=outcome.record, source=str(spec))
    if write:
        draft = spec.with_name(f".{spec.name}.tune")
        _write(draft, new.removesuffix("\n"))
        draft.chmod(spec.stat().st_mode)
        draft.replace(spec)
    return new


def _tell(outcome: Outcome, changed: str | None, *, spec: Path, folder: Path, write: bool, output: str) -> None:
    if output == "json":
        print(json.dumps({**outcome.to_dict(), "folder": str(folder), "written": bool(changed and write)}, indent=2))
        return
    if outcome.trials:
        print_trials(outcome, Console())
    print(outcome.sentence)
    if outcome.caution is not None:
        print(f"caution: {outcome.caution}", file=sys.stderr)
    if changed is not None and write:
        print(f"written: {spec}")
    elif changed is not None:
        old, new = read_text(spec).splitlines(keepends=True), changed.splitlines(keepends=True)
        sys.stdout.writelines(difflib.unified_diff(old, new, str(spec), f"{spec} with --write", n=1))
    print(f"report: {folder / 'report.html'}")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OutsideError(
            f"cannot write {path}: {error.strerror}", fix="free space, or choose another place"
        ) from error
