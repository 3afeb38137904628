"""How an installation of the engine is shown: one bar on a terminal, one line a step elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from flyball.engine import RECIPE, StepReport
from flyball.units import format_bytes, format_duration


@contextmanager
def showing(console: Console) -> Iterator[Callable[[StepReport], None]]:
    """What shows a report, for as long as the block runs."""
    if not console.is_terminal:
        yield lambda report: _print_line(console, report)
        return
    said = TextColumn("[dim]{task.fields[said]}")
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), said, console=console
    ) as progress:
        yield _Bar(progress).show


def _print_line(console: Console, report: StepReport) -> None:
    if report.state != "running":
        took = "done before" if report.state == "kept" else format_duration(round(report.elapsed_s))
        console.print(f"{report.step.doing}: {took}", highlight=False)


class _Bar:
    """All steps in one bar, by how long each is expected to take, with what the current one wrote last."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=sum(step.seconds for step in RECIPE), said="")
        self._done_s = 0.0

    def show(self, report: StepReport) -> None:
        step = report.step
        if report.state != "running":
            self._done_s += step.seconds
            self._progress.update(self._task, completed=self._done_s, description=step.doing, said="")
            return
        within_s = min(report.elapsed_s, 0.95 * step.seconds)  # a slow step waits near its end, not at it
        self._progress.update(
            self._task,
            completed=self._done_s + within_s,
            description=f"{step.doing} ({format_bytes(step.size_bytes)})" if step.size_bytes else step.doing,
            said=report.detail[: max(10, self._progress.console.width - 90)],
        )
