"""Reads the workload that a command is to send: from a spec, from a file of its own, with the files that these name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from flyball.cli.spec_file import read_text
from flyball.errors import UsageError
from flyball.spec import Arrivals, ServingSpec, WorkloadShape, parse_model
from flyball.units import parse_duration
from flyball.workload import Workload, read_recordings

_DEFAULT_DURATION_S = 30.0


_Positive = Parameter(validator=validators.Number(gt=0, lte=1_000_000))


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadOptions:
    """What to send, as options of a command."""

    workload: Path | None = None
    """A file with a workload section, in place of the spec's."""
    rate: Annotated[float | None, _Positive] = None
    """Poisson arrivals at this many requests per second, in place of the files' arrivals."""
    concurrency: Annotated[int | None, _Positive] = None
    """A closed loop of this many clients, in place of the files' arrivals."""
    duration: str | None = None
    """How long requests are sent, like 2m; 30s unless --requests or the arrivals end it."""
    requests: Annotated[int | None, _Positive] = None
    """At most this many requests."""
    seed: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 0
    """Of arrivals, lengths and prompts."""


def read_workload(options: WorkloadOptions, *, spec: tuple[Path, ServingSpec] | None) -> Workload:
    """The workload in the options' file, or else of the spec, or else the default one. Raises UsageError."""
    shape, folder = WorkloadShape(), Path()
    if spec is not None:
        shape, folder = spec[1].workload, spec[0].parent
    if options.workload is not None:
        text = read_text(options.workload)
        shape, folder = parse_model(WorkloadShape, text, source=str(options.workload)), options.workload.parent
    arrivals = _arrivals(options.rate, options.concurrency)
    if arrivals is not None:
        shape = shape.model_copy(update={"arrivals": arrivals})
    duration_s = None if options.duration is None else _seconds(options.duration)
    if duration_s is None and options.requests is None and shape.arrivals.kind not in ("step", "trace"):
        duration_s = _DEFAULT_DURATION_S
    recordings = read_recordings(shape, lambda name: read_text(folder / name))
    return Workload.generate(
        shape, seed=options.seed, duration_s=duration_s, count=options.requests, recordings=recordings
    )


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
