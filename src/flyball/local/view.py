"""The live terminal view of a fleet, and the same as one plain line for logs."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from flyball.local.timeline import FleetSample, ReplicaSample, Timeline

_STYLES = {"ready": "green", "starting": "yellow", "restarting": "red", "draining": "cyan", "gone": "dim"}
EVENTS_SHOWN = 6


def fleet_view(name: str, url: str, timeline: Timeline, now_s: float) -> RenderableType:
    """Replicas and their states, the fleet's totals, the last decision with its reason, the last events."""
    if not timeline.samples:
        return Text(f"{name}: starting, {now_s:.0f} s", style="yellow")
    sample = timeline.samples[-1]
    parts: list[RenderableType] = [_heading(name, url, timeline, sample), _replicas(sample)]
    if timeline.syncs:
        sync = timeline.syncs[-1]
        ago = now_s - sync.t_s
        change = f"{sync.decision.current} → {sync.decision.desired}"
        if sync.decision.desired == sync.decision.current:
            change = f"{sync.decision.desired} stays"
        parts.append(Text(f"decision {ago:.0f} s ago: {change}: {sync.decision.reason}"))
    events = [Text(f"{event.t_s:7.1f} s  {event.text}", style="dim") for event in timeline.events[-EVENTS_SHOWN:]]
    return Group(*parts, *events)


def status_line(timeline: Timeline) -> str:
    """The fleet in one line, for output that is not a terminal."""
    if not timeline.samples:
        return "starting"
    sample = timeline.samples[-1]
    states = ", ".join(f"{replica.name} {replica.state}" for replica in sample.replicas)
    return (
        f"{sample.ready}/{sample.desired} ready ({states}); running {sample.running:.0f}, "
        f"waiting {sample.waiting:.0f}, {timeline.tokens_per_s():.0f} tokens/s"
    )


def _heading(name: str, url: str, timeline: Timeline, sample: FleetSample) -> Text:
    mean = timeline.mean_ttft_s()
    ttft = "-" if mean is None else f"{mean * 1000:.0f} ms (mean, 30 s)"
    return Text.assemble(
        (f"{name}  ", "bold"),
        f"{url}   ready {sample.ready} of {sample.desired}   running {sample.running:.0f}   "
        f"waiting {sample.waiting:.0f}   {timeline.tokens_per_s():.0f} tokens/s   TTFT {ttft}",
    )


def _replicas(sample: FleetSample) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("replica", "state"):
        table.add_column(column)
    for column in ("running", "waiting", "KV used"):
        table.add_column(column, justify="right")
    for replica in sample.replicas:
        table.add_row(
            replica.name,
            Text(replica.state, style=_STYLES[replica.state]),
            _number(replica.running),
            _number(replica.waiting),
            _kv(replica),
        )
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _kv(replica: ReplicaSample) -> str:
    return "-" if replica.kv_cache_usage is None else f"{replica.kv_cache_usage:.0%}"
