"""Requests to send before a measurement, so that it does not pay for what a server does only once."""

from collections import Counter
from dataclasses import replace

from flyball.spec import Arrivals, Lengths
from flyball.workload.histograms import LengthHistogram
from flyball.workload.recordings import Recordings
from flyball.workload.requests import Workload

_CLIENTS = 8
_OTHER_SEED = 2**32
"""Added to the seed: the texts must not be those of the measurement, whose prompts would then be cached."""


def warm_up(workload: Workload, count: int) -> Workload:
    """`count` requests as long as those of `workload`, with other texts, from a few clients without a pause."""
    shape, recordings = workload.shape, workload.recordings
    trace = recordings.trace if shape.arrivals.trace is not None else None
    shape = shape.model_copy(update={"arrivals": Arrivals(closed_loop=min(count, _CLIENTS))})
    if trace and trace.prompt_tokens is not None and trace.output_tokens is not None:
        recordings = Recordings(
            prompt_tokens=_histogram(trace.prompt_tokens), output_tokens=_histogram(trace.output_tokens)
        )
        as_recorded = Lengths(empirical="the trace")
        shape = shape.model_copy(update={"prompt_tokens": as_recorded, "output_tokens": as_recorded})
    return replace(
        workload,
        shape=shape,
        seed=workload.seed + _OTHER_SEED,
        count=count,
        duration_s=None,
        recordings=replace(recordings, trace=None),
    )


def _histogram(tokens: tuple[int, ...]) -> LengthHistogram:
    counts = Counter(tokens)
    return LengthHistogram(
        tokens=tuple(sorted(counts)), weights=tuple(float(counts[length]) for length in sorted(counts))
    )
