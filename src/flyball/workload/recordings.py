"""`Recordings`: what the files that a workload shape names hold, as values."""

from collections.abc import Callable
from dataclasses import dataclass

from flyball.spec import Lengths, WorkloadShape
from flyball.workload.histograms import LengthHistogram, Part, parse_lengths
from flyball.workload.traces import Trace, parse_trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Recordings:
    """One field for each file that a shape can name; None where it names none."""

    trace: Trace | None = None
    prompt_tokens: LengthHistogram | None = None
    output_tokens: LengthHistogram | None = None


def read_recordings(shape: WorkloadShape, read: Callable[[str], str]) -> Recordings:
    """The recordings that `shape` names. `read` gives the text of a file, by its name as the shape spells it."""

    def histogram(lengths: Lengths, part: Part) -> LengthHistogram | None:
        name = lengths.empirical
        return None if name is None else parse_lengths(read(name), source=name, part=part)

    name = shape.arrivals.trace
    return Recordings(
        trace=None if name is None else parse_trace(read(name), source=name),
        prompt_tokens=histogram(shape.prompt_tokens, "input_tokens"),
        output_tokens=histogram(shape.output_tokens, "output_tokens"),
    )
