"""Sends a workload: each request at its time, whatever becomes of the others."""

import asyncio
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import aiohttp

from flyball.bench.client import CONNECT_TIMEOUT_S, base_url, open_session
from flyball.bench.exchange import Exchange, request_body
from flyball.measurement import RequestRecord
from flyball.workload import RequestSpec, Workload

# A closed-loop client that was refused pauses, or a server that is down would be asked thousands of times a second.
_PAUSE_AFTER_FAILURE_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSettings:
    """How requests are sent."""

    api_key: str | None = field(default=None, repr=False)
    max_concurrency: int | None = None
    """At most this many requests at once; further ones wait in the client, and the wait counts in their latency."""
    ignore_eos: bool = True
    """Ask vLLM for answers of exactly the drawn length; other servers may refuse the parameter."""
    timeout_s: float = 600.0
    """Of a whole request."""
    grace_s: float | None = None
    """How long requests under way may go on after a stop; None is to their end, 0 cancels them at once."""
    replica_header: str | None = None
    """The response header that names the replica."""


async def run_load(
    url: str,
    workload: Workload,
    *,
    model: str,
    settings: LoadSettings = LoadSettings(),
    origin: float | None = None,
    start_s: float | None = None,
    stop: asyncio.Event | None = None,
    on_sent: Callable[[RequestSpec], None] | None = None,
    on_record: Callable[[RequestRecord], None] | None = None,
) -> list[RequestRecord]:
    """The records of all requests of `workload`, by index, when the last one has ended.

    `origin` is the `time.perf_counter()` that the records count from (now, by default; loads that share it can be laid
    side by side), `start_s` when on that clock the workload begins. `stop` ends the sending; requests under way then
    have `settings.grace_s` and are recorded as cancelled after it. Each record also goes to `on_record` at once.
    Raises UsageError for an address that is none; a server that fails is in the records.
    """
    _raise_open_files_limit()
    zero = time.perf_counter() if origin is None else origin
    timeout = aiohttp.ClientTimeout(total=settings.timeout_s, sock_connect=CONNECT_TIMEOUT_S)
    endpoint = str(base_url(url) / "v1/chat/completions")
    async with open_session(settings.api_key, timeout=timeout) as session:
        load = _Load(
            session=session,
            endpoint=endpoint,
            workload=workload,
            model=model,
            settings=settings,
            origin=zero,
            start_s=time.perf_counter() - zero if start_s is None else start_s,
            on_sent=on_sent,
            on_record=on_record,
        )
        await load.run(stop or asyncio.Event())
    return sorted(load.records, key=lambda record: record.index)


@dataclass(slots=True, kw_only=True)
class _Load:
    session: aiohttp.ClientSession
    endpoint: str
    workload: Workload
    model: str
    settings: LoadSettings
    origin: float
    start_s: float
    on_sent: Callable[[RequestSpec], None] | None
    on_record: Callable[[RequestRecord], None] | None
    records: list[RequestRecord] = field(default_factory=list)
    under_way: set[asyncio.Task[RequestRecord]] = field(default_factory=set)
    room: asyncio.Semaphore | None = None

    async def run(self, stop: asyncio.Event) -> None:
        if self.settings.max_concurrency is not None:
            self.room = asyncio.Semaphore(self.settings.max_concurrency)
        try:
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(self._send_all(group))
                finishing = group.create_task(self._finish(sending))
                stopping = group.create_task(stop.wait())
                await asyncio.wait({finishing, stopping}, return_when=asyncio.FIRST_COMPLETED)
                stopping.cancel()
                if not finishing.done():
                    sending.cancel()
                    await self._give_grace()
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _finish(self, sending: asyncio.Task[None]) -> None:
        await sending
        if self.under_way:
            await asyncio.wait(self.under_way)

    async def _give_grace(self) -> None:
        await asyncio.sleep(0)  # requests that were created in this turn of the loop begin, and so can be recorded
        if self.under_way:
            await asyncio.wait(self.under_way, timeout=self.settings.grace_s)
        for task in self.under_way:
            task.cancel()

    async def _send_all(self, group: asyncio.TaskGroup) -> None:
        requests = iter(self.workload)
        if self.workload.concurrency is None:
            await self._open_loop(group, requests)
            return
        await self._sleep_until(self.start_s)
        async with asyncio.TaskGroup() as clients:
            for _ in range(self.workload.concurrency):
                clients.create_task(self._closed_loop_client(group, requests))

    async def _open_loop(self, group: asyncio.TaskGroup, requests: Iterator[RequestSpec]) -> None:
        for request in requests:
            assert request.arrival_s is not None
            body = self._body(request)  # before its time has come: making the prompt takes a while
            intended_s = self.start_s + request.arrival_s
            await self._sleep_until(intended_s)
            self._launch(group, request, body, intended_s)

    async def _closed_loop_client(self, group: asyncio.TaskGroup, requests: Iterator[RequestSpec]) -> None:
        end_s = None if self.workload.duration_s is None else self.start_s + self.workload.duration_s
        while end_s is None or self._now_s() < end_s:
            request = next(requests, None)
            if request is None:
                return
            body = self._body(request)
            task = self._launch(group, request, body, self._now_s())
            await asyncio.wait({task})
            if task.result().failed:
                await asyncio.sleep(_PAUSE_AFTER_FAILURE_S)

    def _launch(
        self, group: asyncio.TaskGroup, request: RequestSpec, body: bytes, intended_s: float
    ) -> asyncio.Task[RequestRecord]:
        # A task of its own: cancelling whoever launched it stops the sending and not the request.
        task = group.create_task(self._send(request, body, intended_s))
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)
        return task

    async def _send(self, request: RequestSpec, body: bytes, intended_s: float) -> RequestRecord:
        exchange = Exchange(reads=[])
        if self.room is None:
            await self._exchange(exchange, request, body)
        else:
            try:
                async with self.room:
                    await self._exchange(exchange, request, body)
            except asyncio.CancelledError as cancelled:
                exchange.failure, exchange.ended = cancelled, time.perf_counter()
        record = exchange.record(request, intended_s=intended_s, origin=self.origin)
        self.records.append(record)
        if self.on_record is not None:
            self.on_record(record)
        return record

    async def _exchange(self, exchange: Exchange, request: RequestSpec, body: bytes) -> None:
        if self.on_sent is not None:
            self.on_sent(request)
        await exchange.run(self.session, self.endpoint, body, replica_header=self.settings.replica_header)

    def _body(self, request: RequestSpec) -> bytes:
        prompt = self.workload.prompt(request)
        return request_body(self.model, prompt, request.output_tokens, ignore_eos=self.settings.ignore_eos)

    def _now_s(self) -> float:
        return time.perf_counter() - self.origin

    async def _sleep_until(self, time_s: float) -> None:
        # Always yields, also when late: otherwise a sender behind its schedule would never let an answer be read.
        await asyncio.sleep(max(0.0, time_s - self._now_s()))


def _raise_open_files_limit() -> None:
    """Every stream is an open file, and the usual soft limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
