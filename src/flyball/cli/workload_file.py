"""Reads the workload that a command is to send: from a spec, from a file of its own, with the files that these name."""

from pathlib import Path

from flyball.cli.spec_file import read_text
from flyball.errors import UsageError
from flyball.spec import Arrivals, ServingSpec, WorkloadShape, parse_model
from flyball.units import parse_duration
from flyball.workload import Workload, read_recordings

_DEFAULT_DURATION_S = 30.0


def read_workload(
    file: Path | None,
    *,
    spec: tuple[Path, ServingSpec] | None,
    rate: float | None,
    concurrency: int | None,
    duration: str | None,
    requests: int | None,
    seed: int,
) -> Workload:
    """The workload in `file`, or else of the spec, or else the default one.

    `rate` (Poisson) or `concurrency` (a closed loop) take the place of its arrivals.
    It lasts 30 s where neither `duration` nor `requests` nor its arrivals end it. Raises UsageError.
    """
    shape, folder = WorkloadShape(), Path()
    if spec is not None:
        shape, folder = spec[1].workload, spec[0].parent
    if file is not None:
        shape, folder = parse_model(WorkloadShape, read_text(file), source=str(file)), file.parent
    arrivals = _arrivals(rate, concurrency)
    if arrivals is not None:
        shape = shape.model_copy(update={"arrivals": arrivals})
    duration_s = None if duration is None else _seconds(duration)
    if duration is None and requests is None and shape.arrivals.kind not in ("step", "trace"):
        duration_s = _DEFAULT_DURATION_S
    recordings = read_recordings(shape, lambda name: read_text(folder / name))
    return Workload.generate(shape, seed=seed, duration_s=duration_s, count=requests, recordings=recordings)


def _arrivals(rate: float | None, concurrency: int | None) -> Arrivals | None:
    if rate is not None and concurrency is not None:
        raise UsageError("--rate and --concurrency are two kinds of arrivals", fix="give one of them")
    if rate is not None:
        return Arrivals(poisson=rate)
    return None if concurrency is None else Arrivals(closed_loop=concurrency)


def _seconds(duration: str) -> float:
    try:
        seconds = parse_duration(duration)
    except ValueError as error:
        raise UsageError(f"--duration: {error}", fix="for example --duration 2m") from None
    if seconds <= 0:
        raise UsageError("--duration must be longer than 0", fix="for example --duration 2m")
    return seconds
