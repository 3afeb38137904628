"""Runs a fleet until it is told to stop: once to drain, twice to stop at once."""

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path

from flyball.engine import Engine
from flyball.errors import FlyballError, UsageError
from flyball.local.background import describe, forget, read_state, write_state
from flyball.local.service import serving
from flyball.local.timeline import Timeline
from flyball.spec import ServingSpec

SAMPLE_PERIOD_S = 2.5
TICK_S = 1.0
KEPT = 2000  # samples, decisions and events: over an hour of samples


async def up(
    spec: ServingSpec, engine: Engine, *, folder: Path, timeline: Timeline, tick: Callable[[str, float], None]
) -> bool:
    """Serve until SIGINT or SIGTERM. True when everything was drained, False when it was stopped at once.

    `tick(phase, seconds)` is called every second; phase is starting, running or draining. `folder` gets the logs and
    the state file by which `flyball status` finds the fleet. Raises what `serving` raises.
    """
    _refuse_twin(spec.name, folder)
    runner = _Runner(spec, folder, timeline, tick)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, runner.on_signal)
    ticker = asyncio.create_task(runner.tick())
    try:
        async with serving(spec, engine, folder=folder, timeline=timeline, sample_period_s=SAMPLE_PERIOD_S) as service:
            runner.phase = "running"
            stopped = asyncio.create_task(runner.stop.wait())
            await asyncio.wait({stopped, service.control}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if service.control.done():
                service.control.result()  # a defect in the loop: let it be seen
            runner.phase = "draining"
    except asyncio.CancelledError:
        return False
    except FlyballError as error:
        runner.failed(error)
        raise
    finally:
        ticker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ticker
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        if runner.phase != "failed":
            forget(folder)
    return True


class _Runner:
    def __init__(self, spec: ServingSpec, folder: Path, timeline: Timeline, tick: Callable[[str, float], None]) -> None:
        self.phase = "starting"
        self.stop = asyncio.Event()
        self._spec = spec
        self._folder = folder
        self._timeline = timeline
        self._tick = tick
        self._task = asyncio.current_task()
        self._began = asyncio.get_running_loop().time()
        self._write()

    def on_signal(self) -> None:
        """The first one while serving drains; any other stops at once (a fleet that is starting serves nobody yet)."""
        if self.phase == "running" and not self.stop.is_set():
            self.stop.set()
        elif self._task is not None:
            self._task.cancel()

    async def tick(self) -> None:
        while True:
            self._tick(self.phase, asyncio.get_running_loop().time() - self._began)
            self._write()
            await asyncio.sleep(TICK_S)

    def failed(self, error: FlyballError) -> None:
        """Leave the reason where the process that started this one in the background can read it."""
        self.phase = "failed"
        self._write(error)

    def _write(self, failure: FlyballError | None = None) -> None:
        state = describe(
            self._spec.name,
            url=f"http://127.0.0.1:{self._spec.gateway.port}",
            log=str(self._folder / "logs"),
            phase=self.phase,
            timeline=self._timeline,
            failure=failure,
        )
        write_state(self._folder, state)


def _refuse_twin(name: str, folder: Path) -> None:
    state = read_state(folder)
    if state is not None and state.is_alive:
        raise UsageError(
            f"a fleet named {name} is running already (pid {state.pid}, {state.url})",
            fix=f"`flyball down {name}` stops it; or give this one another name",
        )
