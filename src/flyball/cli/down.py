"""`flyball down`."""

import os
import signal
import time
from typing import Annotated

import psutil
from cyclopts import Parameter
from rich.console import Console

from flyball.engine import Home
from flyball.errors import OutsideError
from flyball.local.background import fleets_folder, the_fleet

# A fleet's drain is bounded by local.drain_timeout and the engine's teardown; this is beyond any of them.
LONGEST_S = 3600.0
AGAIN_S = 0.5  # between the two signals of --now, so that they are not taken for one


def down(name: str | None = None, *, now: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Drain and stop a fleet that runs in the background.

    Parameters
    ----------
    name
        Which one; not needed when only one is running.
    now
        Do not wait for running streams.

    """
    state = the_fleet(fleets_folder(Home.of_user()), name)
    process = psutil.Process(state.pid)
    console = Console(stderr=True)
    try:
        os.kill(state.pid, signal.SIGTERM)
        if now:
            time.sleep(AGAIN_S)
            os.kill(state.pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    except PermissionError as error:
        raise OutsideError(f"pid {state.pid} is another user's", fix="run this as that user") from error
    with console.status(f"{state.name}: waiting for running streams to end"):
        try:
            process.wait(LONGEST_S)
        except psutil.TimeoutExpired:
            raise OutsideError(f"{state.name} (pid {state.pid}) does not stop", fix="add --now") from None
    console.print(f"{state.name} stopped")
