"""The screen of a fleet in the background of this machine."""

from rich.console import Console
from rich.table import Table

from flyball.local.background import FleetState

_KEYS = ("name", "state", "running", "waiting", "kv_cache_usage")


def print_local(console: Console, state: FleetState) -> None:
    """Replicas, load, last decision, last events."""
    ttft = "-" if state.ttft_mean_s is None else f"{state.ttft_mean_s * 1000:.0f} ms"
    console.print(
        f"{state.name}  {state.phase}  {state.url}  ready {state.ready} of {state.desired}  "
        f"{state.tokens_per_s:.0f} tokens/s  TTFT {ttft} (mean, 30 s)  pid {state.pid}",
        soft_wrap=True,
        highlight=False,
    )
    table = Table(box=None, pad_edge=False)
    for column in _KEYS:
        table.add_column(column)
    for replica in state.replicas:
        table.add_row(*("-" if replica[key] is None else str(replica[key]) for key in _KEYS))
    console.print(table)
    if state.decision:
        console.print(f"last decision: {state.decision}", soft_wrap=True, highlight=False)
    for event in state.events:
        console.print(f"{event['t_s']:7.1f} s  {event['text']}", soft_wrap=True, highlight=False)
    console.print(f"logs: {state.log}", soft_wrap=True, highlight=False)
