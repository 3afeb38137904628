"""Serving a load in virtual time: requests in, first and last tokens out, through one frontend and one engine."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import inf

from flyball.perf.frontend import Frontend
from flyball.perf.replica import EngineReplica, Outcome
from flyball.perf.scheduler import Sequence
from flyball.perf.step_model import StepModel


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """`arrival_s` None: it is sent when a client of a closed loop is free."""

    prompt_tokens: int
    output_tokens: int
    arrival_s: float | None = None
    shared_tokens: int = 0
    """At the prompt's beginning, the same for all and in the prefix cache: neither computed nor stored anew."""


@dataclass(slots=True)
class ServedRequest:
    """Seconds from the load's start, as the client sees them."""

    request: LoadRequest
    sent_s: float
    first_token_s: float = 0.0
    last_token_s: float = 0.0

    @property
    def ttft_s(self) -> float:
        return self.first_token_s - self.sent_s

    @property
    def tpot_s(self) -> float | None:
        """None for an answer of one token."""
        more = self.request.output_tokens - 1
        return (self.last_token_s - self.first_token_s) / more if more else None


def serve(
    model: StepModel,
    requests: Iterable[LoadRequest],
    *,
    kv_cache_tokens: int,
    concurrency: int | None = None,
    async_scheduling: bool = True,
) -> list[ServedRequest]:
    """All of `requests` served to the end, in their order. `concurrency` clients send those without an arrival time."""
    engine = EngineReplica(model, kv_cache_tokens=kv_cache_tokens, async_scheduling=async_scheduling)
    return _Run(engine, requests, concurrency).to_end()


class _Run:
    def __init__(self, engine: EngineReplica, requests: Iterable[LoadRequest], concurrency: int | None) -> None:
        efficiency = engine.model.efficiency
        self.engine = engine
        self.frontend: Frontend[ServedRequest] = Frontend(efficiency.request_s)
        self.delivery_s = efficiency.delivery_s
        self.token_s = efficiency.token_s
        self.served: list[ServedRequest] = []
        self.source: Iterator[LoadRequest] = iter(requests)
        self.free_clients: list[float] = [i * efficiency.token_s for i in range(concurrency or 0)]
        self.next_arrival: LoadRequest | None = None
        self.in_engine: list[ServedRequest] = []
        self._fetch()

    def _fetch(self) -> None:
        self.next_arrival = next(self.source, None)

    @property
    def next_sent_s(self) -> float:
        request = self.next_arrival
        if request is None:
            return inf
        if request.arrival_s is not None:
            return request.arrival_s
        return self.free_clients[0] if self.free_clients else inf

    def to_end(self) -> list[ServedRequest]:
        heapify(self.free_clients)
        engine, frontend = self.engine, self.frontend
        sent_s = self.next_sent_s
        while True:
            entered_s = frontend.next_s
            outcome = engine.advance(sent_s if sent_s < entered_s else entered_s)
            frontend.slow(engine.delivery_load, engine.stepped_s)
            if outcome is not None:
                if outcome.step.first_tokens or outcome.step.finished:
                    self._record(outcome)
                    sent_s = self.next_sent_s
            elif sent_s == entered_s == inf:
                return self.served
            elif sent_s <= entered_s:
                self._send(sent_s)
                sent_s = self.next_sent_s
            else:
                self._enter(entered_s)

    def _send(self, now_s: float) -> None:
        request = self.next_arrival
        assert request is not None
        if request.arrival_s is None:
            heappop(self.free_clients)
        served = ServedRequest(request, now_s)
        self.served.append(served)
        self.frontend.submit(served, now_s)
        self._fetch()

    def _enter(self, now_s: float) -> None:
        served = self.frontend.pop()
        request = served.request
        sequence = Sequence(
            index=len(self.in_engine),
            prompt_tokens=request.prompt_tokens,
            output_tokens=request.output_tokens,
            cached_tokens=request.shared_tokens,
            shared_tokens=request.shared_tokens,
        )
        self.in_engine.append(served)
        self.engine.submit(sequence, now_s)

    def _record(self, outcome: Outcome) -> None:
        at_s = outcome.at_s + self.delivery_s
        step = outcome.step
        for sequence in step.first_tokens:
            self.in_engine[sequence.index].first_token_s = at_s
        for sequence in step.finished:
            at_s += self.token_s
            served = self.in_engine[sequence.index]
            served.last_token_s = at_s
            if served.request.arrival_s is None:
                heappush(self.free_clients, at_s)
