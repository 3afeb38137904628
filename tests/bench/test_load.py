import asyncio
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from flyball.bench import LoadSettings, run_load
from flyball.measurement import RequestRecord
from flyball.spec import Arrivals, Lengths, LogNormal, WorkloadShape
from flyball.workload import LengthHistogram, Recordings, Trace, Workload
from scripted_vllm import Script, ScriptedVLLM


def _at(*arrivals: float, output_tokens: int = 5) -> Workload:
    """Requests at exactly these times."""
    shape = WorkloadShape(
        arrivals=Arrivals(trace="t"), prompt_tokens=Lengths(fixed=20), output_tokens=Lengths(fixed=output_tokens)
    )
    return Workload.generate(shape, recordings=Recordings(trace=Trace(arrival_s=arrivals)))


def _clients(count: int, *, requests: int | None = None, duration_s: float | None = None) -> Workload:
    shape = WorkloadShape(
        arrivals=Arrivals(closed_loop=count), prompt_tokens=Lengths(fixed=20), output_tokens=Lengths(fixed=5)
    )
    return Workload.generate(shape, count=requests, duration_s=duration_s)


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def test_counts_are_exact() -> None:
    """Prompt and output tokens are those of `usage`; chunks are the events, however many tokens each holds."""
    shape = WorkloadShape(
        arrivals=Arrivals(poisson=200.0),
        prompt_tokens=Lengths(lognormal=LogNormal(mu=3.0, sigma=0.5)),
        output_tokens=Lengths(lognormal=LogNormal(mu=3.0, sigma=1.0, min=1)),
    )
    workload = Workload.generate(shape, seed=4, count=40)
    async with ScriptedVLLM(lambda _: Script(tokens_per_event=2, write_bytes=50)) as server:
        records = await run_load(server.url, workload, model="tiny")
    assert [record.outcome for record in records] == ["ok"] * 40
    for record, request in zip(records, workload, strict=True):
        assert record.index == request.index
        assert record.prompt_tokens == request.prompt_tokens
        assert record.output_tokens == record.requested_output_tokens == request.output_tokens
        assert len(record.chunk_times_s) == -(-request.output_tokens // 2)
        assert (record.first_token_s, record.last_token_s) == (record.chunk_times_s[0], record.chunk_times_s[-1])
        assert record.http_status == 200


async def test_what_is_asked() -> None:
    """The body is vLLM's chat completion: streamed, with usage, greedy, of exact length, with the drawn prompt."""
    workload = _at(0.0, 0.01)
    settings = LoadSettings(api_key="secret")
    async with ScriptedVLLM() as server:
        await run_load(server.url + "/v1/", workload, model="tiny", settings=settings)
        await run_load(server.url, workload, model="tiny", settings=LoadSettings(ignore_eos=False))
    assert server.served[0].body == {
        "model": "tiny",
        "messages": [{"role": "user", "content": workload.prompt(next(iter(workload)))}],
        "max_tokens": 5,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "ignore_eos": True,
    }
    assert server.served[0].headers["authorization"] == "Bearer secret"
    assert "ignore_eos" not in server.served[2].body
    assert "authorization" not in server.served[2].headers


async def test_chunk_times_are_those_of_the_server() -> None:
    """No chunk is seen before it was written, and half of them are seen within 5 ms of it."""
    origin = time.perf_counter()
    async with ScriptedVLLM(lambda _: Script(gap_s=0.01)) as server:
        records = await run_load(server.url, _at(0.0, 0.02, 0.04, output_tokens=20), model="tiny", origin=origin)
    late = []
    for record, served in zip(records, sorted(server.served, key=lambda served: served.arrived), strict=True):
        written = np.array(served.written) - origin
        seen = np.array(record.chunk_times_s)
        assert len(seen) == len(written) == 20
        late += list(seen - written)
        assert record.sent_s is not None
        assert record.headers_s is not None
        assert record.intended_s <= record.sent_s <= served.arrived - origin <= record.headers_s <= seen[0]
    assert min(late) > -1e-6
    assert np.median(late) < 0.005


async def test_events_written_at_once_share_their_time() -> None:
    """Five events in one write have one time: the bytes arrived together."""
    async with ScriptedVLLM(lambda _: Script(events_per_write=5)) as server:
        (record,) = await run_load(server.url, _at(0.0, output_tokens=10), model="tiny")
    assert len(record.chunk_times_s) == 10
    assert len(set(record.chunk_times_s)) <= 2


async def test_requests_are_sent_on_time_to_a_stalled_server() -> None:
    """An open loop goes on sending while nothing is answered, and each request's latency holds its whole wait."""
    release = asyncio.Event()
    origin = time.perf_counter()
    async with ScriptedVLLM(lambda _: Script(hold=release)) as server:
        load = asyncio.create_task(run_load(server.url, _at(0.0, 0.05, 0.1, 0.15, 0.2), model="tiny", origin=origin))
        await _until(lambda: len(server.served) == 5)
        released_s = time.perf_counter() - origin
        release.set()
        records = await load
    for record, arrival in zip(records, (0.0, 0.05, 0.1, 0.15, 0.2), strict=True):
        assert record.intended_s == pytest.approx(records[0].intended_s + arrival, abs=2e-6)
        assert record.ttft_s is not None
        assert record.ttft_s >= released_s - record.intended_s - 1e-5
        assert record.schedule_lag_s is not None
        assert 0 <= record.schedule_lag_s < 0.5


async def test_a_wait_in_the_client_counts_as_latency() -> None:
    """With room for one request the others wait here; the headline counts from the intended arrival all the same."""
    async with ScriptedVLLM(lambda _: Script(gap_s=0.02)) as server:
        settings = LoadSettings(max_concurrency=1)
        records = await run_load(server.url, _at(0.0, 0.0, 0.0), model="tiny", settings=settings)
    assert server.most_under_way == 1
    last = max(records, key=lambda record: record.sent_s or 0.0)
    assert last.schedule_lag_s is not None
    assert last.schedule_lag_s > 2 * 4 * 0.02
    assert last.ttft_s is not None
    assert last.ttft_from_send_s is not None
    assert last.ttft_s == pytest.approx(last.ttft_from_send_s + last.schedule_lag_s, abs=1e-5)


async def test_there_is_no_limit_on_connections() -> None:
    """All of 150 requests are at the server before the first is answered."""
    release = asyncio.Event()
    async with ScriptedVLLM(lambda _: Script(hold=release)) as server:
        load = asyncio.create_task(run_load(server.url, _at(*[0.0] * 150), model="tiny"))
        await _until(lambda: len(server.served) == 150)
        release.set()
        records = await load
    assert {record.outcome for record in records} == {"ok"}


@pytest.mark.parametrize(
    ("script", "outcome", "status", "error"),
    [
        (Script(status=503, message="queue is full"), "rejected", 503, "HTTP 503: queue is full"),
        (Script(status=429, message="slow down"), "rejected", 429, "HTTP 429: slow down"),
        (Script(status=500, message="after shutdown"), "error", 500, "HTTP 500: after shutdown"),
        (Script(status=400, message="too long"), "error", 400, "HTTP 400: too long"),
        (Script(accident="reset", after=0), "error", None, "connection reset by peer"),
        (Script(accident="close", after=0), "error", None, "the connection was closed without an answer"),
        (Script(accident="reset", after=3), "cut", 200, "the connection was closed within the answer"),
        (Script(accident="close", after=3), "cut", 200, "the connection was closed within the answer"),
        (Script(accident="end", after=3), "cut", 200, "the stream ended without finish_reason and [DONE]"),
        (Script(accident="end", after=0), "error", 200, "the stream ended without finish_reason and [DONE]"),
        (Script(accident="error event", after=3, message="engine died"), "cut", 200, "engine died"),
        (Script(accident="error event", after=0, message="engine died"), "cut", 200, "engine died"),
        (Script(accident="abort", after=3), "cut", 200, "finish_reason abort"),
        (Script(accident="silence", after=3), "timeout", 200, "no answer in time"),
    ],
)
async def test_every_end_has_its_outcome(script: Script, outcome: str, status: int | None, error: str) -> None:
    """A refusal, a reset, a stream that breaks off or reports an error: told apart, with the server's own words."""
    async with ScriptedVLLM(lambda _: script) as server:
        (record,) = await run_load(server.url, _at(0.0), model="tiny", settings=LoadSettings(timeout_s=0.4))
    assert (record.outcome, record.http_status, record.error) == (outcome, status, error)
    # The abort of vLLM comes with an empty delta, which counts as a step.
    assert len(record.chunk_times_s) == script.after + (script.accident == "abort")
    assert record.output_tokens is None
    assert record.failed


async def test_a_server_that_is_not_there() -> None:
    """A refused connection is in the records, as an error, with a time of its end."""
    (record,) = await run_load("http://127.0.0.1:9", _at(0.0), model="tiny")
    assert (record.outcome, record.http_status) == ("error", None)
    assert "refused" in record.error
    assert record.sent_s is not None
    assert record.end_s >= record.sent_s


async def test_an_answer_without_usage_has_no_token_count() -> None:
    """Chunks are not taken for tokens where the server does not count."""
    async with ScriptedVLLM(lambda _: Script(usage=False)) as server:
        (record,) = await run_load(server.url, _at(0.0), model="tiny")
    assert (record.outcome, record.output_tokens, record.tpot_s) == ("ok", None, None)
    assert len(record.chunk_times_s) == 5


async def test_accidents_of_some_leave_the_others_alone() -> None:
    """One in three streams dies; the rest are complete and in order."""

    def script(body: dict[str, Any]) -> Script:
        dies = body["max_tokens"] == 7
        return Script(gap_s=0.002, accident="reset" if dies else None, after=3 if dies else 0)

    shape = WorkloadShape(
        arrivals=Arrivals(poisson=300.0), prompt_tokens=Lengths(fixed=5), output_tokens=Lengths(empirical="o")
    )
    recordings = Recordings(output_tokens=LengthHistogram(tokens=(7, 9), weights=(1.0, 2.0)))
    async with ScriptedVLLM(script) as server:
        workload = Workload.generate(shape, count=60, recordings=recordings)
        records = await run_load(server.url, workload, model="tiny")
    dying = [record for record in records if record.requested_output_tokens == 7]
    assert 5 < len(dying) < 40
    assert {record.outcome for record in dying} == {"cut"}
    assert all(record.output_tokens == 9 for record in records if record.outcome == "ok")
    assert len(records) == 60


async def test_a_stop_lets_streams_end_and_sends_nothing_more() -> None:
    """Without a limit on the grace, requests under way are answered to their end."""
    stop = asyncio.Event()
    async with ScriptedVLLM(lambda _: Script(gap_s=0.03)) as server:
        load = asyncio.create_task(run_load(server.url, _at(0.0, 0.0, 60.0), model="tiny", stop=stop))
        await _until(lambda: len(server.served) == 2)
        stop.set()
        records = await load
    assert [(record.index, record.outcome) for record in records] == [(0, "ok"), (1, "ok")]
    assert len(server.served) == 2


async def test_a_stop_without_grace_cancels() -> None:
    """Requests under way, and one that waits in the client, are recorded as cancelled with what they had."""
    stop = asyncio.Event()
    settings = LoadSettings(grace_s=0.0, max_concurrency=2)
    async with ScriptedVLLM(lambda _: Script(accident="silence", after=3)) as server:
        load = asyncio.create_task(
            run_load(server.url, _at(0.0, 0.0, 0.0, 60.0), model="tiny", stop=stop, settings=settings)
        )
        await _until(lambda: [len(served.written) for served in server.served] == [3, 3])
        await asyncio.sleep(0.05)
        stop.set()
        records = await load
        assert [record.outcome for record in records] == ["cancelled"] * 3
        assert [len(record.chunk_times_s) for record in records] == [3, 3, 0]
        assert [record.sent_s is None for record in records] == [False, False, True]
        assert all(record.end_s >= record.intended_s for record in records)


async def test_a_stop_at_once_still_records_what_was_sent() -> None:
    """A stop in the same turn of the loop as the sending loses no request."""
    stop = asyncio.Event()
    sent: list[int] = []
    async with ScriptedVLLM(lambda _: Script(gap_s=0.05)) as server:

        def stop_at_third(request: Any) -> None:
            sent.append(request.index)
            if len(sent) == 3:
                stop.set()

        records = await run_load(
            server.url,
            _at(*[0.0] * 10),
            model="tiny",
            stop=stop,
            on_sent=stop_at_third,
            settings=LoadSettings(grace_s=0.0),
        )
    assert [record.index for record in records] == sorted(sent)
    assert {record.outcome for record in records} == {"cancelled"}


async def test_cancelling_the_load_ends_its_requests() -> None:
    """A load whose task is cancelled leaves no task behind."""
    async with ScriptedVLLM(lambda _: Script(accident="silence", after=1)) as server:
        load = asyncio.create_task(run_load(server.url, _at(0.0, 0.0), model="tiny"))
        await _until(lambda: len(server.served) == 2)
        load.cancel()
        with pytest.raises(asyncio.CancelledError):
            await load
        names = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}  # type: ignore[union-attr]
    assert not any("_Load" in name for name in names)


async def test_records_come_as_they_are_made() -> None:
    """`on_record` has each record once, when its request has ended; the result has all of them, by index."""
    seen: list[RequestRecord] = []

    def script(body: dict[str, Any]) -> Script:
        return Script(gap_s=0.02 if body["messages"][0]["content"] == slow else 0.0)

    workload = _at(0.0, 0.0, 0.02)
    slow = workload.prompt(next(iter(workload)))
    async with ScriptedVLLM(script) as server:
        records = await run_load(server.url, workload, model="tiny", on_record=seen.append)
    assert seen[-1].index == 0
    assert sorted(seen, key=lambda record: record.index) == records


async def test_a_failing_callback_ends_the_load() -> None:
    """An error of the caller's own is raised and not hidden among the records."""

    def fail(record: RequestRecord) -> None:
        raise ZeroDivisionError(record.index)

    async with ScriptedVLLM() as server:
        with pytest.raises(ZeroDivisionError):
            await run_load(server.url, _at(0.0, 30.0), model="tiny", on_record=fail)


async def test_loads_share_a_clock() -> None:
    """Two loads with one origin are on one time axis: the second begins where it was told to."""
    origin = time.perf_counter()
    async with ScriptedVLLM() as server:
        first, second = await asyncio.gather(
            run_load(server.url, _at(0.0), model="tiny", origin=origin, start_s=0.05),
            run_load(server.url, _at(0.0, 0.1), model="tiny", origin=origin, start_s=0.2),
        )
    assert [record.intended_s for record in (*first, *second)] == pytest.approx([0.05, 0.2, 0.3])
    assert all(record.sent_s is not None and record.sent_s >= record.intended_s for record in (*first, *second))


async def test_a_closed_loop_keeps_its_clients_busy() -> None:
    """Never more requests than clients; each sends its next when the last has ended; all prompts differ."""
    async with ScriptedVLLM(lambda _: Script(gap_s=0.002)) as server:
        records = await run_load(server.url, _clients(4, requests=20), model="tiny")
    assert server.most_under_way == 4
    assert [record.index for record in records] == list(range(20))
    assert {record.outcome for record in records} == {"ok"}
    assert len({served.body["messages"][0]["content"] for served in server.served}) == 20
    for number, record in enumerate(records[4:], start=1):
        assert sum(other.end_s <= record.intended_s for other in records) >= number


async def test_a_closed_loop_ends_with_its_duration() -> None:
    """No request is sent after the duration, and the last ones are answered to their end."""
    async with ScriptedVLLM(lambda _: Script(gap_s=0.02)) as server:
        records = await run_load(server.url, _clients(2, duration_s=0.15), model="tiny", start_s=0.0)
    assert all(record.intended_s < 0.15 for record in records)
    assert max(record.end_s for record in records) > 0.15
    assert {record.outcome for record in records} == {"ok"}


async def test_a_stopped_closed_loop_finishes_what_it_began() -> None:
    """A stop lets every client's request end and sends no other."""
    stop = asyncio.Event()
    async with ScriptedVLLM(lambda _: Script(gap_s=0.03)) as server:
        load = asyncio.create_task(run_load(server.url, _clients(3), model="tiny", stop=stop))
        await _until(lambda: len(server.served) == 3)
        stop.set()
        records = await load
    assert [record.outcome for record in records] == ["ok"] * 3


async def test_a_closed_loop_does_not_storm_a_dead_server() -> None:
    """Clients that are refused pause before they try again."""
    records = await run_load("http://127.0.0.1:9", _clients(1, duration_s=0.35), model="tiny")
    assert 1 <= len(records) <= 4
    assert {record.outcome for record in records} == {"error"}


async def test_the_replica_is_read_from_its_header() -> None:
    """Where the gateway names the replica in a header, the record has it."""
    async with ScriptedVLLM() as server:
        (named,) = await run_load(server.url, _at(0.0), model="tiny", settings=LoadSettings(replica_header="X-Replica"))
        (plain,) = await run_load(server.url, _at(0.0), model="tiny")
    assert (named.replica, plain.replica) == ("r-7", None)
