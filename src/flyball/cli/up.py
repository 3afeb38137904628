"""`flyball up`."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.live import Live

from flyball.cli.exit_code import INTERRUPTED
from flyball.cli.spec_file import read_spec
from flyball.engine import Home, find_engine
from flyball.errors import OutsideError, UsageError
from flyball.local import Timeline
from flyball.local.background import FleetState, fleets_folder, forget, read_state
from flyball.local.up import up as run_up
from flyball.local.view import fleet_view, status_line
from flyball.spec import ServingSpec


def up(
    spec: Path,
    *,
    port: int | None = None,
    detach: Annotated[bool, Parameter(name=["--detach", "-d"], negative="")] = False,
) -> int:
    """Run the spec's fleet on this machine: vLLM replicas behind Envoy, scaled by the HPA law.

    Ctrl-C lets running streams finish; a second one stops at once.

    Parameters
    ----------
    spec
        The spec file.
    port
        The gateway's port, instead of the spec's gateway.port.
    detach
        Return once the fleet is ready and leave it running; `flyball status` and `flyball down` find it.

    """
    serving = with_port(read_spec(spec), port)
    home = Home.of_user()
    folder = fleets_folder(home) / serving.name
    engine = find_engine(home)
    if detach:
        return _detach(spec, serving, folder)
    timeline = Timeline(keep=2000)
    console = Console(stderr=True)
    shown = _LiveView(console, serving, timeline) if console.is_terminal else _Lines(console, serving, timeline)
    with shown:
        drained = asyncio.run(run_up(serving, engine, folder=folder, timeline=timeline, tick=shown.tick))
    console.print("drained and stopped" if drained else "stopped at once")
    return 0 if drained else INTERRUPTED


def with_port(spec: ServingSpec, port: int | None) -> ServingSpec:
    """`spec` with another gateway port."""
    if port is None:
        return spec
    if not 1 <= port <= 65535:
        raise UsageError(f"--port {port} is not a TCP port", fix="choose one from 1 to 65535")
    return spec.model_copy(update={"gateway": spec.gateway.model_copy(update={"port": port})})


def curl_line(spec: ServingSpec, url: str) -> str:
    """A command that asks the fleet something."""
    key = f' -H "authorization: Bearer ${spec.gateway.api_key_env}"' if spec.gateway.api_key_env else ""
    model = spec.model.served_name or spec.model.id
    message = '{"role": "user", "content": "What is the capital of France?"}'
    body = f'{{"model": "{model}", "temperature": 0, "messages": [{message}]}}'
    return f"curl {url}/v1/chat/completions -H 'content-type: application/json'{key} -d '{body}'"


class _LiveView:
    """The view redrawn in place."""

    def __init__(self, console: Console, spec: ServingSpec, timeline: Timeline) -> None:
        self._console, self._spec, self._timeline = console, spec, timeline
        self._live = Live(console=console, auto_refresh=False)
        self._announced = False

    def __enter__(self) -> "_LiveView":
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.__exit__(None, None, None)

    def tick(self, phase: str, seconds: float) -> None:
        url = f"http://127.0.0.1:{self._spec.gateway.port}"
        if phase == "running" and not self._announced:
            self._announced = True
            self._console.print(f"ready: {url}\n{curl_line(self._spec, url)}", soft_wrap=True, highlight=False)
        self._live.update(fleet_view(self._spec.name, f"{url} ({phase})", self._timeline, seconds), refresh=True)


class _Lines:
    """Events as they come, and now and then the state, for output that is not a terminal."""

    STATUS_EVERY_S = 30.0

    def __init__(self, console: Console, spec: ServingSpec, timeline: Timeline) -> None:
        self._console, self._spec, self._timeline = console, spec, timeline
        self._last_event_s = -1.0
        self._last_status_s = 0.0
        self._announced = False

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *_: object) -> None:
        self._events()

    def tick(self, phase: str, seconds: float) -> None:
        self._events()
        url = f"http://127.0.0.1:{self._spec.gateway.port}"
        if phase == "running" and not self._announced:
            self._announced = True
            self._say(f"ready: {url}\n{curl_line(self._spec, url)}")
        if seconds - self._last_status_s >= self.STATUS_EVERY_S:
            self._last_status_s = seconds
            self._say(status_line(self._timeline))

    def _events(self) -> None:
        for event in self._timeline.events:
            if event.t_s > self._last_event_s:
                self._say(f"{event.t_s:7.1f} s  {event.text}")
                self._last_event_s = event.t_s

    def _say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, highlight=False, markup=False)


def _detach(path: Path, spec: ServingSpec, folder: Path) -> int:
    """Start `flyball up` in a session of its own and wait until it is ready or has failed."""
    running = read_state(folder)
    if running is not None and running.is_alive:
        raise UsageError(
            f"a fleet named {spec.name} is running already (pid {running.pid}, {running.url})",
            fix=f"`flyball down {spec.name}` stops it",
        )
    forget(folder)
    folder.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    with (folder / "up.log").open("wb") as log:
        command = [sys.executable, "-m", "flyball", "up", str(path.resolve()), "--port", str(spec.gateway.port)]
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=os.environ
        )
    with console.status(f"starting {spec.name}") as status:
        try:
            state = _await_ready(child, folder, lambda text: status.update(f"starting {spec.name}: {text}"))
        except KeyboardInterrupt:
            child.terminate()
            child.wait()
            raise
    print(state.url)
    console.print(curl_line(spec, state.url), soft_wrap=True, highlight=False)
    console.print(f"`flyball status` shows it, `flyball down {spec.name}` stops it; logs: {state.log}", soft_wrap=True)
    return 0


def _await_ready(child: "subprocess.Popen[bytes]", folder: Path, say: Callable[[str], None]) -> FleetState:
    while True:
        state = read_state(folder)
        if state is not None and state.events:
            say(str(state.events[-1]["text"]))
        if state is not None and state.phase == "running":
            return state
        if child.poll() is not None:
            forget(folder)
            if state is not None and state.error:
                failure = UsageError if state.exit_code == UsageError.exit_code else OutsideError
                raise failure(state.error, fix=state.fix)
            tail = (folder / "up.log").read_text(errors="replace").strip().splitlines()[-2:]
            raise OutsideError("the fleet did not start: " + " ".join(tail), fix=f"see {folder / 'up.log'}")
        time.sleep(0.25)
