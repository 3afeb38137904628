"""`flyball prove`."""

import asyncio
import json
import time
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from flyball.cli.exit_code import INTERRUPTED
from flyball.cli.run_folder import new_run_folder, provenance
from flyball.cli.spec_file import read_spec
from flyball.cli.up import with_port
from flyball.engine import Home, find_engine
from flyball.errors import OutsideError
from flyball.prove.proof import prove as run_proof
from flyball.prove.run_folder import save, verdict_document
from flyball.prove.verdict import Evidence, Verdict
from flyball.report import proof_page


def prove(
    spec: Path,
    *,
    port: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """The acceptance test on this machine: a step of load takes the fleet from 1 to N replicas and back.

    Exit code 0: every criterion passed; 1: one did not.

    Parameters
    ----------
    spec
        The spec file.
    port
        The gateway's port, instead of the spec's gateway.port.
    seed
        Of arrivals, lengths and prompts.
    out
        The run folder; runs/prove-DATE-TIME by default.
    output
        A table of the verdict, or JSON.

    """
    serving = with_port(read_spec(spec), port)
    engine = find_engine(Home.of_user())
    folder = new_run_folder("prove", out)
    console = Console(stderr=True)
    began = time.perf_counter()

    def say(text: str) -> None:
        console.print(f"{time.perf_counter() - began:6.1f} s  {text}", soft_wrap=True, highlight=False, markup=False)

    about = provenance(seed, vllm=engine.version, device=engine.device)
    evidence = Evidence()
    interrupted = False
    try:
        asyncio.run(run_proof(serving, engine, folder=folder, seed=seed, say=say, evidence=evidence))
    except KeyboardInterrupt:
        interrupted = True
        say("interrupted: stopped everything, keeping what there is")
    proof = evidence.proof(serving, about)
    try:
        save(proof, folder)
        page = folder / "report.html"
        page.write_text(proof_page(proof), encoding="utf-8")
    except OSError as error:
        raise OutsideError(f"cannot write to {folder}: {error.strerror}", fix="free space, or use --out") from error
    if output == "json":
        print(json.dumps({**verdict_document(proof), "report": str(page)}, indent=2))
    else:
        Console().print(_table(proof.verdict))
        print(f"{'passed' if proof.verdict.passed else 'FAILED'}; report: {page}")
    return INTERRUPTED if interrupted else 0 if proof.verdict.passed else 1


def _table(verdict: Verdict) -> Table:
    table = Table(show_lines=False)
    table.add_column("", justify="right")
    table.add_column("criterion")
    table.add_column("holds")
    table.add_column("numbers")
    for criterion in verdict.criteria:
        holds = {True: "[green]yes[/]", False: "[red]no[/]", None: "[yellow]not reached[/]"}[criterion.passed]
        table.add_row(str(criterion.number), criterion.title, holds, criterion.finding)
    return table
