import asyncio
import io

import pytest
from rich.console import Console

from flyball.bench.progress import LoadProgress
from flyball.measurement import Outcome, RequestRecord
from flyball.workload import RequestSpec

REQUEST = RequestSpec(index=0, arrival_s=0.0, prompt_tokens=1, output_tokens=1, prompt_seed=0)


def _record(outcome: Outcome, ttft_s: float | None = None) -> RequestRecord:
    return RequestRecord(
        index=0,
        intended_s=0.0,
        sent_s=0.0,
        first_token_s=ttft_s,
        end_s=9.0,
        requested_output_tokens=1,
        outcome=outcome,
    )


def test_the_line_counts_what_happened() -> None:
    """Sent, under way, done, failed and the recent TTFT; a new phase begins at nothing."""
    progress = LoadProgress(Console(file=io.StringIO()))
    progress.begin("load")
    for _ in range(6):
        progress.sent(REQUEST)
    for record in (_record("ok", 0.1), _record("ok", 0.3), _record("rejected"), _record("cancelled")):
        progress.ended(record)
    assert progress.line().split(" s  ", 1)[1] == "sent 6  under way 2  done 2  failed 1  TTFT p95 290 ms"
    progress.begin("next")
    assert progress.line().split(" s  ", 1)[1] == "sent 0  under way 0  done 0  failed 0"


async def test_it_draws_on_a_terminal_only() -> None:
    """On a terminal the line is drawn until cancelled; elsewhere nothing is written and it returns."""
    terminal, file = io.StringIO(), io.StringIO()
    drawing = asyncio.create_task(LoadProgress(Console(file=terminal, force_terminal=True, width=120)).show())
    while "sent 0" not in terminal.getvalue():
        await asyncio.sleep(0.01)
    drawing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    await LoadProgress(Console(file=file)).show()
    assert file.getvalue() == ""
