"""`flyball engine install | status | remove`."""

import asyncio
import json
from typing import Annotated, Literal

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from flyball.cli.engine_progress import showing
from flyball.engine import (
    ENGINE_VERSION,
    EngineStatus,
    Home,
    engine_status,
    find_cuda_vllm,
    install,
    installed_bytes,
    remove,
)
from flyball.errors import UsageError
from flyball.units import format_bytes

app = App(name="engine", help="The local engine: vLLM's CPU build in an environment of its own, and a small model.")


@app.command(name="install")
def install_engine(*, force: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Install vLLM's CPU build and the small model, or go on where an installation was interrupted.

    Where there is a GPU and a vLLM for it, that one is used and nothing is installed.

    Parameters
    ----------
    force
        Install it anew, and also where a vLLM for the GPU was found.

    """
    home, console = Home.of_user(), Console(stderr=True)
    found = find_cuda_vllm(home)
    if found is not None and not force:
        console.print(
            f"vLLM {found.version} for the GPU is here ({found.python}); nothing to install",
            soft_wrap=True,
            highlight=False,
        )
        return
    if force:
        remove(home)
    try:
        with showing(console) as show:
            asyncio.run(install(home, on_report=show))
    except KeyboardInterrupt:
        console.print("interrupted; run it again to go on")
        raise
    console.print(f"vLLM {ENGINE_VERSION} is ready in {home.engine}", soft_wrap=True, highlight=False)


@app.command
def status(
    *, output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table"
) -> Literal[0, 1]:
    """Say which engine replicas would run on. Exit code 1 if there is none.

    Parameters
    ----------
    output
        table or json.

    """
    home = Home.of_user()
    found = engine_status(home)
    facts = _facts(home, found)
    if output == "json":
        print(json.dumps(facts, indent=2))
    else:
        table = Table(show_header=False, box=None)
        for name, fact in facts.items():
            shown = ", ".join(fact) if isinstance(fact, list) else fact
            table.add_row(name, format_bytes(shown) if isinstance(shown, int) else shown or "-")
        Console().print(table)
    return 1 if found.engine is None else 0


@app.command(name="remove")
def remove_engine(*, yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative="")] = False) -> None:
    """Delete the engine, the small model and their cache.

    Parameters
    ----------
    yes
        Do not ask.

    """
    home, console = Home.of_user(), Console(stderr=True)
    size = installed_bytes(home)
    if not yes:
        if not console.is_terminal:
            raise UsageError("removing the engine has to be confirmed", fix="add --yes")
        answer = console.input(f"Delete {format_bytes(size)} in {home.root}? \\[y/N] ")
        if answer.strip().lower() not in ("y", "yes"):
            return
    remove(home)
    console.print(f"{format_bytes(size)} freed")


def _facts(home: Home, found: EngineStatus) -> dict[str, str | int | list[str] | None]:
    engine = found.engine
    return {
        "installed": found.installed,
        "missing": list(found.missing),
        "folder": str(home.engine),
        "bytes": installed_bytes(home),
        "version": engine.version if engine else None,
        "device": engine.device if engine else None,
        "python": str(engine.python) if engine else None,
        "small_model": str(engine.small_model) if engine and engine.small_model else None,
    }
