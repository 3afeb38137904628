"""`Workload`: a shape and a seed, as a stream of requests that is the same every time."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, repeat, takewhile
from typing import Self

from numpy.random import PCG64, Generator, SeedSequence

from flyball.spec import WorkloadShape
from flyball.workload.arrivals import arrival_times
from flyball.workload.lengths import token_counts
from flyball.workload.prompts import prompt_text
from flyball.workload.recordings import Recordings

_SEEDS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSpec:
    """One request to send: when (None in a closed loop: as soon as a client is free), how long, and its text's seed."""

    index: int
    arrival_s: float | None
    prompt_tokens: int
    output_tokens: int
    prompt_seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Iterate over it for its requests, in the order of their arrival; each iteration gives the same ones.

    Arrivals, prompt lengths, output lengths and texts are drawn from separate streams of the seed: a workload at twice
    the rate has the same lengths, so that two loads differ in one thing only.
    """

    shape: WorkloadShape
    seed: int
    duration_s: float | None
    """Arrivals end here; in a closed loop no request is sent later. None: no limit."""
    count: int | None
    """At most this many requests. None: no limit."""
    recordings: Recordings

    @classmethod
    def generate(
        cls,
        shape: WorkloadShape,
        *,
        seed: int = 0,
        duration_s: float | None = None,
        count: int | None = None,
        recordings: Recordings | None = None,
    ) -> Self:
        """The workload of `shape`. `recordings` is what `read_recordings` makes of the files that the shape names.

        Raises ValueError where the shape names a file and the recordings lack it.
        """
        have = recordings or Recordings()
        for name, needed, given in (
            ("trace", shape.arrivals.trace, have.trace),
            ("prompt_tokens", shape.prompt_tokens.empirical, have.prompt_tokens),
            ("output_tokens", shape.output_tokens.empirical, have.output_tokens),
        ):
            if needed is not None and given is None:
                raise ValueError(f"the recording of {name} is missing: {needed}")
        return cls(shape=shape, seed=seed, duration_s=duration_s, count=count, recordings=have)

    @property
    def concurrency(self) -> int | None:
        """The number of clients of a closed loop; None in an open loop."""
        return self.shape.arrivals.closed_loop

    def __iter__(self) -> Iterator[RequestSpec]:
        arrival_rng, prompt_rng, output_rng, text_rng = self._streams()
        arrivals, texts = self._arrivals(arrival_rng), _seeds(text_rng)
        lengths = self._token_counts(prompt_rng, output_rng)
        requests = islice(zip(arrivals, lengths, texts, strict=False), self.count)
        for index, (arrival_s, (prompt_tokens, output_tokens), prompt_seed) in enumerate(requests):
            yield RequestSpec(
                index=index,
                arrival_s=arrival_s,
                prompt_tokens=prompt_tokens,
                output_tokens=output_tokens,
                prompt_seed=prompt_seed,
            )

    def prompt(self, request: RequestSpec) -> str:
        """The text of `request`: the shared prefix, which is the same in all workloads, then words of its own."""
        rng = Generator(PCG64(request.prompt_seed))
        return prompt_text(request.prompt_tokens, rng, shared_prefix_tokens=self.shape.shared_prefix_tokens)

    def _streams(self) -> list[Generator]:
        """Independent generators: of arrivals, prompt lengths, output lengths and text seeds."""
        return [Generator(PCG64(stream)) for stream in SeedSequence(self.seed).spawn(4)]

    def _arrivals(self, rng: Generator) -> Iterator[float | None]:
        if self.concurrency is not None:
            return repeat(None)
        recorded = self.recordings.trace.arrival_s if self.recordings.trace else ()
        times = arrival_times(self.shape.arrivals, rng, recorded=recorded)
        end = math.inf if self.duration_s is None else self.duration_s
        return takewhile(lambda time: time < end, times)

    def _token_counts(self, prompt_rng: Generator, output_rng: Generator) -> Iterator[tuple[int, int]]:
        """Lengths by request: the trace's own where it has them, drawn from the shape where not."""
        trace = self.recordings.trace if self.shape.arrivals.trace is not None else None
        prompts = token_counts(self.shape.prompt_tokens, prompt_rng, recorded=self.recordings.prompt_tokens)
        outputs = token_counts(self.shape.output_tokens, output_rng, recorded=self.recordings.output_tokens)
        if trace and trace.prompt_tokens is not None:
            prompts = iter(trace.prompt_tokens)
        if trace and trace.output_tokens is not None:
            outputs = iter(trace.output_tokens)
        return zip(prompts, outputs, strict=False)


def _seeds(rng: Generator) -> Iterator[int]:
    while True:
        yield from rng.integers(2**63, size=_SEEDS_AT_ONCE).tolist()
