"""`Demand`: what the workload asks for: rates to plan for, and a sample of its requests to serve in virtual time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import NormalDist

import numpy as np
from numpy.random import Generator

from flyball.errors import UsageError
from flyball.perf.latency import Traffic
from flyball.planning.derived import GIVEN, Derived
from flyball.spec import SLO, Lengths, WorkloadShape
from flyball.workload import LengthHistogram, Recordings, Trace, token_counts

SAMPLE = 2400
"""Requests in the sample; as many of them are served as the rate needs to settle."""
LONGEST = 0.9999
"""The share of prompts, and of outputs, that the context is made for."""
_BUSIEST_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Rates in requests per second; all candidates serve the same sample, so that they differ by nothing else."""

    typical_rate: Derived[float]
    peak_rate: Derived[float]
    traffic: Traffic
    mean_prompt_tokens: float
    mean_output_tokens: float
    p95_prompt_tokens: int
    longest_request: Derived[int]
    """Tokens, prompt and output together."""
    shared_prefix_tokens: int = 0
    """Leading tokens that all prompts share, and that the engine's prefix cache holds."""

    @property
    def mean_tokens(self) -> float:
        """Of a whole request at its end."""
        return self.mean_prompt_tokens + self.mean_output_tokens

    def shared_tokens(self, block_size: int) -> list[int] | None:
        """Of each prompt of the sample: the cache hits whole blocks, and at least the last token is computed.

        None where nothing is shared.
        """
        if not self.shared_prefix_tokens:
            return None
        return [
            min(self.shared_prefix_tokens, prompt - 1) // block_size * block_size
            for prompt in self.traffic.prompt_tokens
        ]

    def mean_shared_tokens(self, block_size: int) -> float:
        shared = self.shared_tokens(block_size)
        return 0.0 if shared is None else float(np.mean(shared))


def demand(shape: WorkloadShape, *, slo: SLO, recordings: Recordings, rng: Generator) -> Demand:
    """The demand of a workload; `recordings` holds what its files say."""
    prompts, outputs = _lengths(shape, recordings, rng)
    if shape.arrivals.mean_rate == 0 and shape.peak is None:
        what = "workload.arrivals: nothing ever arrives, so there is nothing to plan for"
        raise UsageError(what, fix="give a step a rate above 0, or workload.peak")
    # Gamma gaps with the asked coefficient of variation; 1 is Poisson.
    spread = 1.0 if shape.arrivals.gamma is None else shape.arrivals.gamma.cv
    gaps = rng.gamma(1 / spread**2, spread**2, size=SAMPLE)
    typical = _typical_rate(shape, slo, recordings.trace, float(np.mean(outputs)))
    return Demand(
        typical_rate=typical,
        peak_rate=_peak_rate(shape, recordings.trace, typical),
        traffic=Traffic(prompt_tokens=prompts, output_tokens=outputs, gaps=(gaps / gaps.mean()).tolist()),
        mean_prompt_tokens=float(np.mean(prompts)),
        mean_output_tokens=float(np.mean(outputs)),
        p95_prompt_tokens=int(np.percentile(prompts, 95)),
        longest_request=Derived(
            value=_longest(shape.prompt_tokens, recordings.prompt_tokens, prompts)
            + _longest(shape.output_tokens, recordings.output_tokens, outputs),
            reason=f"{LONGEST:.2%} of the prompts and of the outputs are no longer than their part of it",
        ),
        shared_prefix_tokens=shape.shared_prefix_tokens,
    )


def _lengths(shape: WorkloadShape, recordings: Recordings, rng: Generator) -> tuple[list[int], list[int]]:
    trace = recordings.trace
    if trace is not None and trace.prompt_tokens is not None and trace.output_tokens is not None:
        chosen = rng.integers(len(trace.arrival_s), size=SAMPLE)
        return [trace.prompt_tokens[index] for index in chosen], [trace.output_tokens[index] for index in chosen]
    prompts = token_counts(shape.prompt_tokens, rng, recorded=recordings.prompt_tokens)
    outputs = token_counts(shape.output_tokens, rng, recorded=recordings.output_tokens)
    return list(islice(prompts, SAMPLE)), list(islice(outputs, SAMPLE))


def _longest(lengths: Lengths, recorded: LengthHistogram | None, drawn: Sequence[int]) -> int:
    if lengths.fixed is not None:
        return lengths.fixed
    if lengths.lognormal is not None:
        shape = lengths.lognormal
        tokens = math.ceil(math.exp(shape.mu + shape.sigma * NormalDist().inv_cdf(LONGEST)))
        return max(shape.min, tokens if shape.max is None else min(tokens, shape.max))
    return max(drawn) if recorded is None else recorded.tokens[-1]


def _typical_rate(shape: WorkloadShape, slo: SLO, trace: Trace | None, mean_output: float) -> Derived[float]:
    rate = shape.arrivals.mean_rate
    if rate is not None:
        if rate == 0:
            assert shape.peak is not None
            return Derived(value=shape.peak, reason="workload.peak: nothing arrives by workload.arrivals")
        return Derived(value=rate, reason=f"the mean rate of workload.arrivals ({shape.arrivals.kind})")
    if trace is not None:
        arrivals = trace.arrival_s
        span = max(arrivals[-1] - arrivals[0], 1.0)
        return Derived(value=len(arrivals) / span, reason=f"{len(arrivals):,} requests in {span:,.0f} s of the trace")
    clients = shape.arrivals.closed_loop
    assert clients is not None
    bounds = slo.request_bounds()
    seconds = bounds.get("e2e", bounds.get("ttft", 0.0) + mean_output * bounds.get("tpot", 0.05))
    reason = (
        f"{clients} clients, each with a request in {seconds:.3g} s, which is what the objective allows one to take"
    )
    return Derived(value=clients / seconds, reason=reason)


def _peak_rate(shape: WorkloadShape, trace: Trace | None, typical: Derived[float]) -> Derived[float]:
    if shape.peak is not None:
        return Derived(value=max(shape.peak, typical.value), reason=f"workload.peak, {GIVEN}")
    if shape.arrivals.step is not None:
        return Derived(value=max(step.rate for step in shape.arrivals.step), reason="the highest step of the arrivals")
    if trace is not None:
        arrivals = np.asarray(trace.arrival_s)
        ends = np.searchsorted(arrivals, arrivals + _BUSIEST_S)
        most = int((ends - np.arange(len(arrivals))).max())
        return Derived(value=max(most / _BUSIEST_S, typical.value), reason="the busiest minute of the trace")
    return Derived(value=typical.value, reason="workload.peak is not given, so the typical rate is planned for")
