"""From what a step of the installation wrote last to what is wrong and what to do. Pure."""

from pathlib import Path

from flyball.engine.recipe import Step
from flyball.errors import OutsideError

SHOWN_LINES, SHOWN_WIDTH = 4, 300

_SOURCES = (
    "let pip reach a package index or a folder of wheels (`pip config set global.index-url ...`, PIP_INDEX_URL, "
    "PIP_FIND_LINKS), then run it again: what is done is kept"
)
_CAUSES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("No space left on device", "Errno 28", "Disk quota exceeded"),
        "the disk is full",
        "free some space, or choose another disk with FLYBALL_HOME, then run it again: what is done is kept",
    ),
    (
        ("Temporary failure in name resolution", "Name or service not known", "Network is unreachable",
         "Connection refused", "NewConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "timed out",
         "ProxyError", "SSLError", "Max retries exceeded"),
        "a package index does not answer",
        _SOURCES,
    ),
    (
        ("No matching distribution found", "Could not find a version"),
        "none of the configured sources has a package that is needed",
        _SOURCES,
    ),
    (
        ("ensurepip is not available", "No module named ensurepip"),
        "this Python cannot make virtual environments",
        "install its venv package (Debian, Ubuntu: `apt install python3-venv`), then run it again",
    ),
)  # fmt: skip


def explain(step: Step, output: str, *, returncode: int | None, log: Path) -> OutsideError:
    """The error for `step`, which ended with `returncode` (negative: by that signal) having written `output`."""
    lines = [line.strip()[:SHOWN_WIDTH] for line in output.splitlines() if line.strip()]
    said = "\n  ".join(lines[-SHOWN_LINES:])
    unknown = (_ending(returncode), f"read {log}, then run it again: what is done is kept")
    known = ((cause, fix) for signs, cause, fix in _CAUSES if any(sign in output for sign in signs))
    cause, fix = next(known, unknown)
    return OutsideError(f"cannot {step.doing} (step {step.name}): {cause}", fix=f"{fix}\n  {said}" if said else fix)


def _ending(returncode: int | None) -> str:
    match returncode:
        case -4:
            return "it used an instruction that this processor lacks (SIGILL)"
        case -9:
            return "it was killed (SIGKILL), as when the memory runs out"
        case int() if returncode < 0:
            return f"it ended by signal {-returncode}"
        case _:
            return "it ended with an error"
