"""Finding a fleet that runs in another process: a small file that it keeps while it lives."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from flyball.engine import Home
from flyball.errors import FlyballError, OutsideError, UsageError
from flyball.local.timeline import Timeline

STATE_FILE = "fleet.json"


def fleets_folder(home: Home) -> Path:
    """Each fleet has a folder of its name in here, with its state, its logs and its gateway's files."""
    return home.root / "fleets"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetState:
    """What a running fleet says of itself. `phase` is starting, running, draining or failed."""

    name: str
    pid: int
    process_created: float
    """The process's start time: a pid alone may be another's by now."""
    url: str
    log: str
    phase: str
    error: str = ""
    fix: str = ""
    exit_code: int = 0
    """Of a fleet that failed: whose fault it was."""
    desired: int = 0
    ready: int = 0
    replicas: tuple[dict[str, object], ...] = ()
    tokens_per_s: float = 0.0
    ttft_mean_s: float | None = None
    decision: str = ""
    events: tuple[dict[str, object], ...] = ()

    @property
    def is_alive(self) -> bool:
        try:
            return abs(psutil.Process(self.pid).create_time() - self.process_created) < 1.0
        except psutil.Error:
            return False


def describe(
    name: str, *, url: str, log: str, phase: str, timeline: Timeline, failure: FlyballError | None = None
) -> FleetState:
    """The state of this process's own fleet."""
    sample = timeline.samples[-1] if timeline.samples else None
    sync = timeline.syncs[-1] if timeline.syncs else None
    return FleetState(
        name=name,
        pid=os.getpid(),
        process_created=psutil.Process().create_time(),
        url=url,
        log=log,
        phase=phase,
        error=failure.what if failure else "",
        fix=failure.fix if failure else "",
        exit_code=failure.exit_code if failure else 0,
        desired=sample.desired if sample else 0,
        ready=sample.ready if sample else 0,
        replicas=tuple(asdict(replica) for replica in sample.replicas) if sample else (),
        tokens_per_s=timeline.tokens_per_s(),
        ttft_mean_s=timeline.mean_ttft_s(),
        decision=f"{sync.decision.current} → {sync.decision.desired}: {sync.decision.reason}" if sync else "",
        events=tuple(asdict(event) for event in timeline.events[-10:]),
    )


def write_state(folder: Path, state: FleetState) -> None:
    """Replace the state file in one step, so that a reader never sees half of it."""
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / f".{STATE_FILE}.{os.getpid()}"
    scratch.write_text(json.dumps(asdict(state)))
    scratch.replace(folder / STATE_FILE)


def read_state(folder: Path) -> FleetState | None:
    """What the fleet in `folder` last said, or None if there is none."""
    try:
        document = json.loads((folder / STATE_FILE).read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise OutsideError(f"cannot read {folder / STATE_FILE}: {error}", fix="delete it if no fleet runs") from error
    document["replicas"] = tuple(document["replicas"])
    document["events"] = tuple(document["events"])
    return FleetState(**document)


def forget(folder: Path) -> None:
    """The fleet has ended."""
    (folder / STATE_FILE).unlink(missing_ok=True)


def running_fleets(root: Path) -> list[FleetState]:
    """Every fleet with a state file below `root` whose process is alive; the files of dead ones are removed."""
    states = []
    for file in sorted(root.glob(f"*/{STATE_FILE}")):
        state = read_state(file.parent)
        if state is None:
            continue
        if state.is_alive:
            states.append(state)
        else:
            forget(file.parent)
    return states


def the_fleet(root: Path, name: str | None) -> FleetState:
    """The running fleet called `name`, or the only one. Raises UsageError if that is none or several."""
    fleets = [state for state in running_fleets(root) if name in (None, state.name)]
    if not fleets:
        what = "no fleet is running" if name is None else f"no fleet named {name} is running"
        raise UsageError(what, fix="`flyball up SPEC --detach` starts one")
    if len(fleets) > 1:
        names = ", ".join(state.name for state in fleets)
        raise UsageError(f"{len(fleets)} fleets are running: {names}", fix="give the name of one")
    return fleets[0]
