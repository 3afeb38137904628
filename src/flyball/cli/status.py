"""`flyball status`."""

import json
from dataclasses import asdict
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from flyball.engine import Home
from flyball.local.background import FleetState, fleets_folder, the_fleet


def status(
    name: str | None = None,
    *,
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table",
) -> None:
    """Show a fleet that runs in the background: replicas, load, last decision, last events.

    Parameters
    ----------
    name
        Which one; not needed when only one is running.
    output
        A table, or JSON.

    """
    state = the_fleet(fleets_folder(Home.of_user()), name)
    if output == "json":
        print(json.dumps(asdict(state), indent=2))
        return
    _show(Console(), state)


def _show(console: Console, state: FleetState) -> None:
    ttft = "-" if state.ttft_mean_s is None else f"{state.ttft_mean_s * 1000:.0f} ms"
    console.print(
        f"{state.name}  {state.phase}  {state.url}  ready {state.ready} of {state.desired}  "
        f"{state.tokens_per_s:.0f} tokens/s  TTFT {ttft} (mean, 30 s)  pid {state.pid}",
        soft_wrap=True,
        highlight=False,
    )
    table = Table(box=None, pad_edge=False)
    for column in ("name", "state", "running", "waiting", "kv_cache_usage"):
        table.add_column(column)
    for replica in state.replicas:
        table.add_row(*("-" if replica[key] is None else str(replica[key]) for key in table_keys))
    console.print(table)
    if state.decision:
        console.print(f"last decision: {state.decision}", soft_wrap=True, highlight=False)
    for event in state.events:
        console.print(f"{event['t_s']:7.1f} s  {event['text']}", soft_wrap=True, highlight=False)
    console.print(f"logs: {state.log}", soft_wrap=True, highlight=False)


table_keys = ("name", "state", "running", "waiting", "kv_cache_usage")
