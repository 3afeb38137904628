"""A measurement on the terminal."""

import math

from rich.console import Console
from rich.table import Table

from flyball.bench.benchmark import LATE_CLIENT_S, BenchmarkResult
from flyball.measurement import Distribution

_ERRORS_SHOWN = 5


def print_result(result: BenchmarkResult, console: Console) -> None:
    """Everything a reader needs to judge the run, and why not to trust it where that is so."""
    summary = result.summary
    server = f"vLLM {result.server_version}" if result.server_version else "server of unknown version"
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in sorted(summary.outcomes.items())) or "none"
    lines = [
        f"{result.model}, {server}: {summary.count} requests in {summary.duration_s:.1f} s ({outcomes})",
        f"{summary.requests_per_s:.2f} requests/s, {summary.output_tokens_per_s:,.1f} output tokens/s"
        + (f", goodput {summary.goodput_per_s:.2f}/s" if summary.goodput_per_s is not None else "")
        + (f" ({summary.attainment:.1%} of requests good)" if summary.attainment is not None else ""),
    ]
    _say(console, *lines)
    console.print(_latencies(result))
    if result.objectives:
        console.print(_objectives(result))
    _say(console, *(f"{count} x {error}" for error, count in result.errors[:_ERRORS_SHOWN]), *_warnings(result))


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _latencies(result: BenchmarkResult) -> Table:
    summary = result.summary
    table = Table(
        caption="of requests that succeeded, from the intended arrival (*: from the send)", caption_justify="left"
    )
    table.add_column("")
    for heading in ("mean", "p50", "p90", "p95", "p99", "max", "n"):
        table.add_column(heading, justify="right")
    rows: tuple[tuple[str, Distribution], ...] = (
        ("TTFT", summary.ttft),
        ("TPOT", summary.tpot),
        ("ITL", summary.itl),
        ("E2E", summary.e2e),
        ("TTFT*", summary.ttft_from_send),
        ("E2E*", summary.e2e_from_send),
        ("sent late", summary.schedule_lag),
    )
    for name, values in rows:
        numbers = (values.mean_s, values.p50_s, values.p90_s, values.p95_s, values.p99_s, values.max_s)
        table.add_row(name, *map(_time, numbers), str(values.count))
    return table


def _objectives(result: BenchmarkResult) -> Table:
    table = Table(caption="failed requests count as infinitely late", caption_justify="left")
    for heading in ("objective", "at most", "measured", "holds"):
        table.add_column(heading)
    for objective in result.objectives:
        name = f"{objective.metric.upper()} p{objective.percentile}"
        holds = "[green]yes[/]" if objective.holds else "[red]no[/]"
        table.add_row(name, _time(objective.bound_s), _time(objective.measured_s), holds)
    return table


def _warnings(result: BenchmarkResult) -> list[str]:
    summary = result.summary
    warnings = []
    if result.interrupted:
        warnings.append("Interrupted: requests that were under way are recorded as cancelled.")
    if summary.outcomes.get("ok") and summary.output_tokens == 0:
        warnings.append("The server reported no usage: output tokens and TPOT are unknown.")
    if result.client_late:
        warnings.append(
            f"The client was late: it sent {_time(summary.schedule_lag.p99_s)} after the intended arrival at p99, more "
            f"than {_time(LATE_CLIENT_S)}. It may have been the bottleneck; do not trust this run."
        )
    return warnings


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if math.isinf(seconds):
        return "failed"
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.2f} ms"
