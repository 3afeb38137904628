"""`ReplicaLoad`: one replica under any rate of the workload, served in virtual time, and the rate that it can hold."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from flyball.perf.latency import Traffic
from flyball.perf.load import ServedRequest, serve
from flyball.perf.memory import MemoryBudget
from flyball.perf.step_model import StepModel
from flyball.perf.step_time import prompt_pairs
from flyball.planning.demand import SAMPLE, Demand
from flyball.spec import SLO, LatencyMetric

PERCENTILES = (50, 90, 95, 99)
IDLE = 1e-3
"""Share of the saturation rate at which requests practically never meet."""
SHARES = (IDLE, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of the saturation rate that are tried; between two of them latency is taken as linear."""
_MEASURED, _MEASURED_IDLE = 300, 150
"""Requests that percentiles are taken from at least: fifteen of them lie beyond the p95."""

Quantile = tuple[LatencyMetric, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """One replica at one rate, without an interval."""

    rate: float
    quantiles_s: Mapping[Quantile, float]
    in_system: float
    """Requests running or waiting, on average."""

    def misses(self, slo: SLO) -> tuple[LatencyMetric, int, float] | None:
        """The objective that is missed by the largest factor."""
        missed = [each for each in slo.objectives() if self.quantiles_s[each[0], each[1]] > each[2]]
        return max(missed, key=lambda each: self.quantiles_s[each[0], each[1]] / each[2], default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """The highest rate of one replica within the objective, and which objective forbids more."""

    rate: float
    bound: str
    in_system: float


class ReplicaLoad:
    """Answers are kept, and the same sample of requests is served at every rate.

    `pace` is how many times the model's rate a replica was measured to hold: its latency at any rate is then what the
    model says at that rate over `pace`, so that it meets the objective up to the rate that was measured.
    """

    def __init__(self, model: StepModel, budget: MemoryBudget, demand: Demand, *, pace: float = 1.0) -> None:
        self.model, self.pace = model, pace
        self.demand = demand
        settings, cache = budget.settings, budget.kv_cache
        self.shared_tokens = demand.mean_shared_tokens(settings.block_size)
        """Of a mean prompt, in the prefix cache: computed before, and kept once for all."""
        self.pool_tokens = cache.tokens - max(demand.shared_tokens(settings.block_size) or (0,))
        """What is left for what requests do not share."""
        holds = cache.concurrency(round(demand.mean_tokens), shared_tokens=round(self.shared_tokens))
        self.most = max(1.0, min(settings.max_num_seqs, holds))
        self._known: dict[float, Latency] = {}

    @cached_property
    def traffic(self) -> Traffic:
        """Of the demand, as this engine's context takes it."""
        settings = self.model.settings
        traffic = replace(self.demand.traffic, shared_tokens=self.demand.shared_tokens(settings.block_size))
        return cut(traffic, settings.max_model_len)

    @cached_property
    def saturation_rate(self) -> float:
        """Requests per second that no scheduling could exceed: the batch full, the host hidden."""
        output = self.demand.mean_output_tokens
        decode_s = self._decode_s(self.most) * output / self.most
        api_s = self.model.efficiency.request_s + output * self.model.efficiency.token_s
        return self.pace / max(self.prefill_s(self.most) + decode_s, api_s)

    def prefill_s(self, sequences: float) -> float:
        """Seconds that a mean prompt adds to a step in which that many sequences decode."""
        shared = round(self.shared_tokens)
        tokens = round(self.demand.mean_prompt_tokens) - shared
        context = sequences * self.demand.mean_tokens
        with_it = self.model.device(tokens, prompt_pairs(tokens, before=shared), 1, round(sequences), context)
        return with_it - self.model.device(0, 0.0, 0, round(sequences), context)

    def _decode_s(self, sequences: float) -> float:
        context = self.demand.mean_prompt_tokens + self.demand.mean_output_tokens / 2
        return self.model.device(0, 0.0, 0, max(1, round(sequences)), sequences * context)

    def input_share(self, sequences: float) -> float:
        """The share of the engine's seconds that go into prompts, where that many sequences decode at once."""
        decode_s = self._decode_s(max(1.0, sequences)) * self.demand.mean_output_tokens / max(1.0, sequences)
        prompt_s = self.prefill_s(max(1.0, sequences))
        return prompt_s / (prompt_s + decode_s)

    def idle(self) -> Latency:
        """An engine that serves one request at a time: no replica count gives less."""
        return self.at(IDLE * self.saturation_rate)

    def at(self, rate: float) -> Latency:
        """Latency at `rate` requests per second."""
        if rate not in self._known:
            # Those that find the engine filling up are not counted; as many more as fill it are.
            filling = round(2 * self.in_steady_state(rate))
            count = _MEASURED + 2 * filling if filling > 2 else _MEASURED_IDLE
            loads = self.traffic.arrivals(rate / self.pace, min(count, SAMPLE))
            served = serve(self.model, loads, kv_cache_tokens=self.pool_tokens)
            self._known[rate] = _latency(served[min(filling, len(served) // 2) :], rate)
        return self._known[rate]

    def holds(self, rate: float, slo: SLO) -> bool:
        """Whether the objective holds at `rate`, as it does if a higher one was served within it: queues only grow."""
        if any(known >= rate and latency.misses(slo) is None for known, latency in self._known.items()):
            return True
        return self.at(rate).misses(slo) is None

    def between(self, rate: float) -> Latency:
        """As `at`, but interpolated where rates on both sides have been served already."""
        below = max((known for known in self._known if known <= rate), default=None)
        above = min((known for known in self._known if known >= rate), default=None)
        if below is None or above is None:
            return self.at(rate)
        way = (rate - below) / (above - below) if above > below else 0.0
        return _mixed(self._known[below], self._known[above], way)

    def in_steady_state(self, rate: float) -> float:
        """Sequences that decode at once at `rate`, by Little's law; all that may, if they cannot keep up."""
        rate /= self.pace
        busy = rate * self.prefill_s(self.most)
        low, high = 0.0, self.most
        for _ in range(12):
            middle = (low + high) / 2
            # Decoding has the share of the time that prompts leave.
            if rate * self.demand.mean_output_tokens * self._decode_s(middle) > middle * (1 - busy):
                low = middle
            else:
                high = middle
        return high

    def capacity(self, slo: SLO) -> Capacity:
        """The highest rate within the objective, which the idle engine has to meet.

        The shares that are tried do not depend on the objective: a looser one never yields a lower rate.
        """
        low, high = 0, len(SHARES)
        while high - low > 1:
            middle = (low + high) // 2
            if self.at(SHARES[middle] * self.saturation_rate).misses(slo) is None:
                low = middle
            else:
                high = middle
        met = self.at(SHARES[low] * self.saturation_rate)
        if high == len(SHARES):
            return Capacity(rate=met.rate, bound="the engine's throughput", in_system=met.in_system)
        missed = self.at(SHARES[high] * self.saturation_rate)
        way, bound = 1.0, ""
        for metric, percentile, limit in slo.objectives():
            before, after = met.quantiles_s[metric, percentile], missed.quantiles_s[metric, percentile]
            if after > limit and (limit - before) / (after - before) < way:
                way = (limit - before) / (after - before)
                bound = f"{metric.upper()} p{percentile} {limit * 1000:g} ms"
        edge = _mixed(met, missed, way)
        return Capacity(rate=edge.rate, bound=bound, in_system=edge.in_system)


def cut(traffic: Traffic, max_model_len: int) -> Traffic:
    """As vLLM takes it: a prompt and its output together are no longer than the context."""
    prompts = [min(prompt, max_model_len - 1) for prompt in traffic.prompt_tokens]
    outputs = [
        min(output, max_model_len - prompt) for prompt, output in zip(prompts, traffic.output_tokens, strict=True)
    ]
    shared = [min(common, prompt - 1) for common, prompt in zip(traffic.shared_tokens or (), prompts, strict=False)]
    return Traffic(prompt_tokens=prompts, output_tokens=outputs, gaps=traffic.gaps, shared_tokens=shared or None)


def _mixed(one: Latency, other: Latency, way: float) -> Latency:
    """`way` from one to the other."""

    def mean(first: float, second: float) -> float:
        return first + way * (second - first)

    return Latency(
        rate=mean(one.rate, other.rate),
        quantiles_s={quantile: mean(value, other.quantiles_s[quantile]) for quantile, value in one.quantiles_s.items()},
        in_system=mean(one.in_system, other.in_system),
    )


def _latency(served: list[ServedRequest], rate: float) -> Latency:
    ttft = np.array([each.ttft_s for each in served])
    tpot = np.array([seconds for each in served if (seconds := each.tpot_s) is not None] or [0.0])
    e2e = np.array([each.last_token_s - each.sent_s for each in served])
    values: tuple[tuple[LatencyMetric, np.ndarray], ...] = (("ttft", ttft), ("tpot", tpot), ("e2e", e2e))
    return Latency(
        rate=rate,
        quantiles_s={
            (metric, percentile): float(value)
            for metric, seconds in values
            for percentile, value in zip(PERCENTILES, np.percentile(seconds, PERCENTILES), strict=True)
        },
        in_system=rate * float(e2e.mean()),
    )
