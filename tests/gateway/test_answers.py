"""Answers pass through the gateway unchanged and without delay. Real Envoy, real sockets."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from flyball.gateway import Gateway
from loopback_http import Exchange, Server, fetch, fetch_stream

pytestmark = pytest.mark.envoy

StartGateway = Callable[..., Awaitable[Gateway]]


async def no_content(exchange: Exchange) -> None:
    await exchange.head(204)


async def empty(exchange: Exchange) -> None:
    await exchange.answer(b"")


async def empty_chunked(exchange: Exchange) -> None:
    await exchange.stream_head()
    await asyncio.sleep(0.02)  # so that headers and end reach Envoy separately
    await exchange.end()


async def head_only(exchange: Exchange) -> None:
    await exchange.head(200, "content-length: 12345", "x-of-replica: yes")


async def not_modified(exchange: Exchange) -> None:
    await exchange.head(304)


async def early_hints_then_answer(exchange: Exchange) -> None:
    await exchange.head(103, "link: </style>")
    await exchange.answer(b"good")


@pytest.mark.parametrize(
    ("behaviour", "method", "status", "body"),
    [
        (no_content, "DELETE", 204, b""),
        (empty, "GET", 200, b""),
        (empty_chunked, "POST", 200, b""),
        (head_only, "HEAD", 200, b""),
        (not_modified, "GET", 304, b""),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_answers_without_a_body_are_not_held_back(
    behaviour: Callable[[Exchange], Awaitable[None]],
    method: str,
    status: int,
    body: bytes,
    start_gateway: StartGateway,
) -> None:
    """Where no byte will come, the headers do not wait for one."""
    async with Server(behaviour) as server:
        gateway = await start_gateway(server)
        async with asyncio.timeout(5):
            response = await fetch(gateway.port, "/v1/x", method=method, body=b"" if method == "POST" else None)

        assert (response.status, response.body, response.complete) == (status, body, True)


async def test_a_large_answer_is_whole(start_gateway: StartGateway) -> None:
    """A body beyond every buffer's size arrives as it was sent."""
    body = bytes(range(256)) * (5 << 12)  # 5 MiB

    async def large(exchange: Exchange) -> None:
        await exchange.answer(body)

    async with Server(large) as server:
        assert (await fetch((await start_gateway(server)).port, "/v1/x")).body == body


async def test_every_event_passes_when_it_is_sent(start_gateway: StartGateway) -> None:
    """The client has read each event, the first included, before the replica sends the next."""
    read = asyncio.Semaphore(0)

    async def step_by_step(exchange: Exchange) -> None:
        await exchange.stream_head()
        for number in range(5):
            await exchange.event(str(number))
            await read.acquire()
        await exchange.end()

    async with Server(step_by_step) as server:
        gateway = await start_gateway(server)
        events = []
        async with asyncio.timeout(5):
            async for event in fetch_stream(gateway.port, "/v1/x"):
                events.append(event)
                read.release()

        assert events == [f"data: {number}\n\n".encode() for number in range(5)]


async def test_a_stream_may_last_but_not_stand_still(start_gateway: StartGateway) -> None:
    """A stream longer than idle_timeout passes whole; one that stops for longer is cut."""
    silent = asyncio.Event()

    async def steady(exchange: Exchange) -> None:
        await exchange.stream_head()
        for _ in range(10):
            await asyncio.sleep(0.1)
            await exchange.event("word")
        if exchange.request.path.endswith("stall"):
            await silent.wait()
        await exchange.end()

    async with Server(steady) as server:
        gateway = await start_gateway(server, idle_timeout_s=0.8)
        whole, cut = await asyncio.gather(fetch(gateway.port, "/v1/x"), fetch(gateway.port, "/v1/stall"))

        assert (whole.status, whole.complete, whole.body.count(b"word")) == (200, True, 10)
        assert (cut.status, cut.complete, cut.body.count(b"word")) == (200, False, 10)
        assert (await gateway.stats()).downstream_rq_idle_timeout == 1


async def test_silence_before_the_answer_is_504(start_gateway: StartGateway) -> None:
    """A replica that hangs before its first byte costs idle_timeout, and the client is told in JSON."""
    never = asyncio.Event()

    async def hang(exchange: Exchange) -> None:
        await exchange.stream_head()
        await never.wait()

    async with Server(hang) as server:
        response = await fetch((await start_gateway(server, idle_timeout_s=0.3)).port, "/v1/x")

        assert response.status == 504
        assert b"no byte within gateway.idle_timeout" in response.body


async def test_a_client_that_leaves_frees_the_replica(start_gateway: StartGateway) -> None:
    """The replica's connection closes when the client's does, so that vLLM aborts the request."""
    started, left = asyncio.Event(), asyncio.Event()

    async def stream_for_ever(exchange: Exchange) -> None:
        await exchange.stream_head()
        try:
            while True:
                await exchange.event("word")
                started.set()
                await asyncio.sleep(0.01)
        except ConnectionError:
            left.set()
            raise

    async with Server(stream_for_ever) as server:
        gateway = await start_gateway(server)
        client = asyncio.create_task(fetch(gateway.port, "/v1/x"))
        await started.wait()
        client.cancel()

        async with asyncio.timeout(5):
            await left.wait()
            while (await gateway.stats()).in_system:
                await asyncio.sleep(0.01)


async def test_an_idle_connection_is_used_again(start_gateway: StartGateway) -> None:
    """Requests one after the other share one connection to the replica."""
    async with Server(empty) as server:
        gateway = await start_gateway(server)
        for _ in range(5):
            await fetch(gateway.port, "/v1/x")

        assert (len(server.requests), server.connections) == (5, 1)


async def test_the_idle_replica_gets_the_next_request(start_gateway: StartGateway) -> None:
    """Requests that stay are spread: none of three replicas has more than half of twelve, none has nothing."""
    release = asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        await release.wait()
        await exchange.answer(b"good")

    async with Server(wait) as one, Server(wait) as two, Server(wait) as three:
        gateway = await start_gateway(one, two, three)
        requests = []
        for number in range(1, 13):
            requests.append(asyncio.create_task(fetch(gateway.port, "/v1/x")))
            while sum(len(server.requests) for server in (one, two, three)) < number:
                await asyncio.sleep(0.005)
        release.set()
        await asyncio.gather(*requests)

        assert all(1 <= len(server.requests) <= 6 for server in (one, two, three))


async def test_interim_answers_do_not_confuse(start_gateway: StartGateway) -> None:
    """An informational status before the answer is not the answer."""
    async with Server(early_hints_then_answer) as server:
        response = await fetch((await start_gateway(server)).port, "/v1/x")

        assert (response.status, response.body) == (200, b"good")


async def test_http2_is_spoken_to_those_who_ask(start_gateway: StartGateway) -> None:
    """A client that opens with HTTP/2's preface is answered with HTTP/2's settings."""
    reader, writer = await asyncio.open_connection("127.0.0.1", (await start_gateway()).port)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
    async with asyncio.timeout(5):
        frame = await reader.readexactly(9)
    writer.close()

    assert frame[3] == 4
