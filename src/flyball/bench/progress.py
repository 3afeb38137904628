"""How a load is getting on, for people who wait for it."""

import asyncio
import time
from collections import Counter, deque

from rich.console import Console
from rich.live import Live
from rich.text import Text

from flyball.measurement import Distribution, Outcome, RequestRecord
from flyball.workload import RequestSpec

_REDRAW_S = 0.5  # drawing takes a millisecond or two from the loop that reads the streams
_RECENT = 200


class LoadProgress:
    """Counts what was sent and what became of it; `show` draws it on a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.begin("")

    def begin(self, phase: str) -> None:
        """Start counting anew."""
        self.phase = phase
        self._began = time.perf_counter()
        self._sent = 0
        self._outcomes: Counter[Outcome] = Counter()
        self._recent_ttft_s: deque[float] = deque(maxlen=_RECENT)

    def sent(self, _: RequestSpec) -> None:
        self._sent += 1

    def ended(self, record: RequestRecord) -> None:
        self._outcomes[record.outcome] += 1
        if record.outcome == "ok" and record.ttft_s is not None:
            self._recent_ttft_s.append(record.ttft_s)

    def line(self) -> str:
        """The state in one line."""
        ended = self._outcomes.total()
        failed = ended - self._outcomes["ok"] - self._outcomes["cancelled"]
        p95_s = Distribution.of(self._recent_ttft_s).p95_s
        ttft = "" if p95_s is None else f"  TTFT p95 {p95_s * 1000:,.0f} ms"
        return (
            f"{self.phase} {time.perf_counter() - self._began:4.0f} s  sent {self._sent}  "
            f"under way {max(0, self._sent - ended)}  done {self._outcomes['ok']}  failed {failed}{ttft}"
        )

    async def show(self) -> None:
        """Draw until cancelled; nothing where there is no terminal."""
        if not self._console.is_terminal:
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while True:
                live.update(Text(self.line()), refresh=True)
                await asyncio.sleep(_REDRAW_S)
