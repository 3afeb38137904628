"""A replica that fails before the first byte of its answer is not noticed by the client. Real Envoy, real sockets."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from flyball.gateway import Gateway
from loopback_http import Exchange, Response, Server, fetch

pytestmark = pytest.mark.envoy

StartGateway = Callable[..., Awaitable[Gateway]]
Behaviour = Callable[[Exchange], Awaitable[None]]


def error_event(code: int) -> str:
    """What vLLM 0.32 sends in a stream that it cannot continue."""
    return (
        f'{{"error": {{"message": "EngineCore died", "type": "InternalServerError", "param": null, "code": {code}}}}}'
    )


async def stream_ok(exchange: Exchange) -> None:
    await exchange.stream_head()
    for word in ("one", "two"):
        await exchange.event(word)
    await exchange.end()


async def reset_at_once(exchange: Exchange) -> None:
    exchange.reset()


async def reset_after_head(exchange: Exchange) -> None:
    await exchange.stream_head()
    await asyncio.sleep(0.05)  # the headers must reach Envoy by themselves
    exchange.reset()


async def close_after_head(exchange: Exchange) -> None:
    await exchange.stream_head()
    await asyncio.sleep(0.05)
    exchange.close()


async def dead_engine(exchange: Exchange) -> None:
    await exchange.stream_head()
    await asyncio.sleep(0.05)
    await exchange.event(error_event(500))
    await exchange.event("[DONE]")
    await exchange.end()


async def draining(exchange: Exchange) -> None:
    await exchange.answer(b'{"error": {"message": "cannot schedule new futures after shutdown"}}', status=500)


async def full(exchange: Exchange) -> None:
    await exchange.answer(b"full", status=503)


async def die_after_one_word(exchange: Exchange) -> None:
    await exchange.stream_head()
    await exchange.event("one")
    await asyncio.sleep(0.05)
    exchange.reset()


async def chat(gateway: Gateway, body: bytes = b'{"stream": true}') -> Response:
    return await fetch(gateway.port, "/v1/chat/completions", method="POST", body=body)


def answering(status: int, body: bytes) -> Behaviour:
    async def answer(exchange: Exchange) -> None:
        await exchange.answer(body, status=status)

    return answer


def streaming(*events: str) -> Behaviour:
    async def stream(exchange: Exchange) -> None:
        await exchange.stream_head()
        for event in events:
            await exchange.event(event)
        await exchange.end()

    return stream


@pytest.mark.parametrize(
    "failure",
    [reset_at_once, reset_after_head, close_after_head, dead_engine, draining, full],
    ids=lambda f: f.__name__,
)
async def test_failure_before_the_first_byte_is_unseen(failure: Behaviour, start_gateway: StartGateway) -> None:
    """Whatever a replica does before its first byte, the client gets the other one's answer."""
    async with Server(failure) as bad, Server(stream_ok) as good:
        gateway = await start_gateway(bad, good)
        responses = [await chat(gateway) for _ in range(8)]

        assert [response.status for response in responses] == [200] * 8
        assert {response.body for response in responses} == {b"data: one\n\ndata: two\n\n"}
        assert bad.requests
        stats = await gateway.stats()
        assert stats.retries == stats.upstream_rq_retry_success == len(bad.requests)


async def test_a_crowd_on_a_dying_replica_is_unseen(start_gateway: StartGateway) -> None:
    """All requests that were queued on a replica when it died are retried, not only the first few."""
    died = asyncio.Event()

    async def queue_until_death(exchange: Exchange) -> None:
        await exchange.stream_head()
        await died.wait()
        exchange.reset()

    async with Server(queue_until_death) as bad, Server(stream_ok) as good:
        gateway = await start_gateway(bad)
        requests = [asyncio.create_task(chat(gateway)) for _ in range(100)]
        while len(bad.requests) < 100:
            await asyncio.sleep(0.01)
        gateway.set_endpoints([bad.address, good.address])
        while (await gateway.stats()).membership_total < 2:
            await asyncio.sleep(0.01)
        died.set()

        assert [(response.status, response.complete) for response in await asyncio.gather(*requests)] == [
            (200, True)
        ] * 100


async def test_a_refused_connection_is_unseen_and_remembered(start_gateway: StartGateway) -> None:
    """Requests for a replica that is gone go elsewhere, and soon none tries it any more."""
    async with Server(stream_ok) as gone:
        pass
    async with Server(stream_ok) as good:
        gateway = await start_gateway(gone, good)
        statuses = [(await chat(gateway)).status for _ in range(40)]

        stats = await gateway.stats()
        assert statuses == [200] * 40
        assert 2 <= stats.upstream_cx_connect_fail <= 10  # the second failure ejects; requests may be on their way
        assert (stats.membership_total, stats.membership_healthy) == (2, 1)


async def test_ejected_replicas_serve_when_there_is_no_other(start_gateway: StartGateway) -> None:
    """When all replicas have failed, they are tried all the same, and one that is back answers."""
    async with Server(stream_ok) as server:
        pass
    gateway = await start_gateway(server)
    while (await gateway.stats()).membership_healthy:
        assert (await chat(gateway)).status == 503

    async with server:
        assert (await chat(gateway)).status == 200


async def test_a_large_request_is_retried_whole(start_gateway: StartGateway) -> None:
    """A body beyond Envoy's usual 1 MiB buffers reaches the second replica as it was sent."""
    body = bytes(range(256)) * (3 << 12)  # 3 MiB
    async with Server(reset_after_head) as bad, Server(stream_ok) as good:
        gateway = await start_gateway(bad, good)
        while not bad.requests:
            response = await chat(gateway, body)
            assert (response.status, response.complete) == (200, True)

        assert {request.body for request in [*bad.requests, *good.requests]} == {body}


@pytest.mark.parametrize("status", [500, 503])
async def test_when_all_fail_the_replica_s_own_answer_passes(status: int, start_gateway: StartGateway) -> None:
    """Retries are bounded, and the last replica's words reach the client."""
    async with Server(answering(status, b"why")) as one, Server(answering(status, b"why")) as other:
        gateway = await start_gateway(one, other, retries=2)
        response = await chat(gateway)

        assert (response.status, response.body) == (status, b"why")
        assert len(one.requests) + len(other.requests) == 3
        assert one.requests
        assert other.requests


async def test_a_dead_engine_everywhere_is_a_status(start_gateway: StartGateway) -> None:
    """A 200 of vLLM with an error event becomes 500 when no replica can do better."""
    async with Server(dead_engine) as one, Server(dead_engine) as other:
        response = await chat(await start_gateway(one, other, retries=1))

        assert response.status == 500
        assert b"EngineCore died" in response.body


@pytest.mark.parametrize("status", [400, 401, 404, 405, 422, 429, 501])
async def test_answers_about_the_request_are_not_retried(status: int, start_gateway: StartGateway) -> None:
    """Another replica would say the same."""
    async with Server(answering(status, b"no")) as one, Server(answering(status, b"no")) as other:
        response = await chat(await start_gateway(one, other))

        assert (response.status, response.body) == (status, b"no")
        assert len(one.requests) + len(other.requests) == 1


@pytest.mark.parametrize(
    "events",
    [
        (error_event(400), "[DONE]"),
        ("one", error_event(500), "[DONE]"),
        ('{"choices": [{"delta": "\\"code\\": 500"}]}',),
    ],
    ids=["client error", "error after a token", "text about errors"],
)
async def test_other_events_pass_untouched(events: tuple[str, ...], start_gateway: StartGateway) -> None:
    """Only a server error as the first event is taken for a failure."""
    async with Server(streaming(*events)) as one, Server(streaming(*events)) as other:
        response = await chat(await start_gateway(one, other))

        assert response.status == 200
        assert response.body.decode() == "".join(f"data: {event}\n\n" for event in events)
        assert len(one.requests) + len(other.requests) == 1


async def test_after_the_first_byte_a_failure_is_a_broken_stream(start_gateway: StartGateway) -> None:
    """What was begun is not begun again elsewhere: the client sees the stream end before its time."""
    async with Server(die_after_one_word) as one, Server(die_after_one_word) as other:
        response = await chat(await start_gateway(one, other))

        assert (response.status, response.body, response.complete) == (200, b"data: one\n\n", False)
        assert len(one.requests) + len(other.requests) == 1


async def test_without_retries_the_failure_is_told(start_gateway: StartGateway) -> None:
    """With `retries` 0 there is none, and the client gets a JSON error."""
    async with Server(reset_after_head) as bad:
        response = await chat(await start_gateway(bad, retries=0))

        assert response.status == 502
        assert b"the replica failed before its answer began" in response.body
        assert len(bad.requests) == 1
