"""The trials of `flyball tune` as a table."""

from rich.console import Console
from rich.table import Table

from flyball.tune.outcome import Outcome
from flyball.tune.trial import Trial, crowding, label


def print_trials(outcome: Outcome, console: Console) -> None:
    """One line a trial; the chosen one is marked. Flags that all trials share stand once, above."""
    shared = outcome.shared
    if shared:
        console.print(f"all with {label(shared)}", highlight=False)
    table = Table()
    table.add_column("", justify="right")
    table.add_column("flags")
    table.add_column("predicted", justify="right")
    table.add_column("holds", justify="right")
    table.add_column("goodput", justify="right")
    table.add_column("start", justify="right")
    table.add_column("")
    for trial in outcome.trials:
        mark = "[green]chosen[/]" if trial is outcome.chosen else ""
        expected = "" if trial.expected is None else f"{trial.expected.rate:.3g}"
        row = (
            str(trial.number),
            outcome.distinct(trial),
            expected,
            *_measured(trial),
            f"{trial.start_s:.0f} s",
        )
        table.add_row(*row, mark or _remark(trial))
    console.print(table)


def _measured(trial: Trial) -> tuple[str, str]:
    if trial.estimate.rate == 0:
        return "-", "-"
    return f"{trial.estimate.rate:.3g}/s ± {trial.estimate.error:.0%}", f"{trial.goodput:.3g}/s"


def _remark(trial: Trial) -> str:
    if trial.refusal is not None:
        return trial.refusal.cause
    if crowding(trial.waited):
        return crowding(trial.waited)
    return f"E2E p95 {trial.e2e_p95_s * 1000:,.0f} ms" if trial.e2e_p95_s is not None else ""
