"""Latency and throughput against load, and the knee, each with an interval.

Loads are served in virtual time (`serve`), so the scheduler's queueing needs no formula. The interval is that of an
engine whose every step is longer or shorter by the relative `error` of its calibration: such an engine is the same one
on another clock, under a higher or lower rate, so intervals widen near saturation by themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, cycle, islice, repeat

import numpy as np

from flyball.perf.load import LoadRequest, ServedRequest, serve
from flyball.perf.load_statistics import LoadStatistics
from flyball.perf.step_model import StepModel
from flyball.perf.step_time import prompt_pairs
from flyball.spec import SLO

MEASURED = 400
"""Requests that percentiles are taken from, at least: twenty of them lie beyond the p95."""
HIGHEST_LOAD = 0.95
"""Of the saturation rate: above, a queue takes longer to settle than any sample here."""
_BISECTIONS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """A sample of requests, repeated as needed; the same sample at every rate, so that rates differ in nothing else."""

    prompt_tokens: Sequence[int]
    output_tokens: Sequence[int]
    gaps: Sequence[float]
    """Between arrivals, in units of their mean: exponential draws for a Poisson process."""
    shared_tokens: Sequence[int] | None = None
    """Of each prompt, as `LoadRequest` has them; None: nothing is shared."""

    def arrivals(self, rate: float, count: int) -> list[LoadRequest]:
        """An open loop of `rate` requests per second."""
        times = islice(accumulate(cycle(self.gaps)), count)
        shared = repeat(0) if self.shared_tokens is None else cycle(self.shared_tokens)
        return [
            LoadRequest(*lengths, time / rate, common)
            for lengths, time, common in zip(self.lengths(count), times, shared, strict=False)
        ]

    def lengths(self, count: int) -> list[tuple[int, int]]:
        return list(islice(cycle(zip(self.prompt_tokens, self.output_tokens, strict=True)), count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """One engine: its step times with their relative error, and its KV cache."""

    model: StepModel
    kv_cache_tokens: int
    error: float
    """Of step times, from the calibration; 0.1 means that every prediction holds for an engine 10 % off."""
    async_scheduling: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Expected, and if every step took less or more by the calibration's error."""

    expected: LoadStatistics
    fast: LoadStatistics
    slow: LoadStatistics


@dataclass(frozen=True, slots=True, kw_only=True)
class Knee:
    """The highest rate (requests per second) within an objective; 0 if no load at all meets it."""

    rate: float
    low: float
    high: float
    saturation_rate: float
    """What the engine completes when requests never run out."""


def at_concurrency(replica: Replica, traffic: Traffic, concurrency: int) -> Prediction:
    """A closed loop of `concurrency` clients without think time, its beginning left out."""
    count = concurrency + max(MEASURED, 4 * concurrency)
    requests = [LoadRequest(*lengths) for lengths in traffic.lengths(count)]
    served = _serve(replica, requests, concurrency)[concurrency:]
    statistics = LoadStatistics.of(served)
    return Prediction(
        expected=statistics, fast=statistics.slowed(1 / (1 + replica.error)), slow=statistics.slowed(1 + replica.error)
    )


def at_rate(replica: Replica, traffic: Traffic, rate: float) -> Prediction:
    """An open loop of `rate` requests per second. Above the saturation rate there is no steady state: the numbers are
    then those of a queue that has grown for the length of the sample.
    """
    fast, expected, slow = (
        LoadStatistics.of(_steady(replica, traffic, rate * factor)).slowed(factor)
        for factor in (1 / (1 + replica.error), 1.0, 1 + replica.error)
    )
    return Prediction(expected=expected, fast=fast, slow=slow)


def knee(replica: Replica, traffic: Traffic, slo: SLO) -> Knee:
    """The highest rate at which every objective holds, by bisection below the saturation rate."""
    saturation = saturation_rate(replica, traffic)
    fast, expected, slow = (
        _knee_rate(replica, traffic, slo, saturation, factor) / factor
        for factor in (1 / (1 + replica.error), 1.0, 1 + replica.error)
    )
    return Knee(rate=expected, low=slow, high=fast, saturation_rate=saturation)


def saturation_rate(replica: Replica, traffic: Traffic) -> float:
    """Completions per second of an engine whose queue never empties, over the middle half of a backlog."""
    settings = replica.model.settings
    mean_tokens = float(np.mean(traffic.prompt_tokens) + np.mean(traffic.output_tokens))
    batch = min(settings.max_num_seqs, max(1, int(replica.kv_cache_tokens / mean_tokens)))
    requests = [LoadRequest(*lengths, 0.0) for lengths in traffic.lengths(MEASURED + 4 * batch)]
    ends = np.sort([each.last_token_s for each in _serve(replica, requests)])
    first, last = len(ends) // 4, 3 * len(ends) // 4
    return float((last - first) / (ends[last] - ends[first]))


def _knee_rate(replica: Replica, traffic: Traffic, slo: SLO, saturation: float, factor: float) -> float:
    """In the engine's own time, for bounds that are `factor` times shorter there."""
    low, high = 0.0, HIGHEST_LOAD * saturation
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if _meets(_steady(replica, traffic, middle), slo, factor):
            low = middle
        else:
            high = middle
    return low


def _meets(served: Sequence[ServedRequest], slo: SLO, factor: float) -> bool:
    seconds = {
        "ttft": [each.ttft_s for each in served],
        "tpot": [tpot for each in served if (tpot := each.tpot_s) is not None],
        "e2e": [each.last_token_s - each.sent_s for each in served],
    }
    return all(
        not seconds[metric] or float(np.percentile(seconds[metric], percentile)) * factor <= bound
        for metric, percentile, bound in slo.objectives()
    )


def _steady(replica: Replica, traffic: Traffic, rate: float) -> list[ServedRequest]:
    """The requests of an open loop that found the engine as full as it gets."""
    filling = 2 * _decoding(replica, traffic, rate)
    served = _serve(replica, traffic.arrivals(rate, filling + MEASURED))
    return served[filling:]


def _decoding(replica: Replica, traffic: Traffic, rate: float) -> int:
    """Sequences that decode at once at `rate` by Little's law, in the time that prompts leave; at most all that may."""
    model, most = replica.model, replica.model.settings.max_num_seqs
    prompt, output = float(np.mean(traffic.prompt_tokens)), float(np.mean(traffic.output_tokens))
    alone_s = model.decode(1, prompt)
    prefill_s = model.device(round(prompt), prompt_pairs(round(prompt)), 1, 1, prompt) - alone_s
    left = max(0.05, 1 - rate * prefill_s)
    decoding = 1
    for _ in range(20):
        step_s = model.decode(decoding, decoding * (prompt + output / 2))
        decoding = max(1, min(most, round(rate * output * step_s / left)))
    return decoding


def _serve(replica: Replica, requests: Sequence[LoadRequest], concurrency: int | None = None) -> list[ServedRequest]:
    return serve(
        replica.model,
        requests,
        kv_cache_tokens=replica.kv_cache_tokens,
        concurrency=concurrency,
        async_scheduling=replica.async_scheduling,
    )
