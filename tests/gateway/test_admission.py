"""What the gateway lets in, and what it answers to the rest. Real Envoy, real sockets."""

import asyncio
import contextlib
import json
import posixpath
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

import pytest

from flyball.gateway import Gateway
from loopback_http import Exchange, Response, Server, fetch

pytestmark = pytest.mark.envoy

StartGateway = Callable[..., Awaitable[Gateway]]
KEY = "sk-correct+horse/battery=staple"


async def answer_ok(exchange: Exchange) -> None:
    await exchange.answer(b"good")


def error_of(response: Response) -> dict[str, object]:
    """The error of an answer in OpenAI's shape, which must agree with the status."""
    assert response.headers["content-type"] == "application/json"
    error: dict[str, object] = json.loads(response.body)["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["code"] == response.status
    return error


FORBIDDEN = [
    "/metrics", "/", "/v1", "/v10/models", "/V1/models", "/health/", "/healthz", "/version", "/ping", "/load",
    "/invocations", "/pause", "/resume", "/update_weights", "/tokenize", "/server_info", "/docs", "/openapi.json",
    "//metrics", "/./metrics", "/v1/../metrics", "/v1/./../metrics", "/v1/models/../../metrics", "//v1/..//metrics",
    "/v1/..//..//metrics", "/v1/%2e%2e/metrics", "/v1/%2E./metrics", "/v1/.%2e/metrics",
    "/v1%2f..%2fmetrics", "/v1/..%2fmetrics", "/v1/%2e%2e%2fmetrics", "/v1%5c..%5cmetrics", "/v1/..\\metrics",
    "/v1/\\..\\..\\metrics", "/v1/../../../metrics", "/v1/..?x=/v1/", "/metrics?/v1/", "/metrics#/v1/", "/metrics;/v1/",
    "http://gateway/metrics", "http://gateway/v1/../metrics", "/health/../metrics", "/health%2f..%2fmetrics", "/v1/..",
    "/v1/models/..%2f..%2fmetrics", "/v1/%00/../../metrics", "/../metrics", "/..", "/v1/.../../../metrics",
    "/v1/..;/metrics",
]  # fmt: skip


@pytest.mark.parametrize("key", [None, KEY], ids=["open", "with key"])
async def test_nothing_but_v1_passes(key: str | None, start_gateway: StartGateway) -> None:
    """No way of writing a path reaches what vLLM serves outside /v1/."""
    headers = (f"authorization: Bearer {key}",) if key else ()
    async with Server(answer_ok) as server:
        gateway = await start_gateway(server, api_key=key)
        for path in FORBIDDEN:
            response = await fetch(gateway.port, path, headers=headers)

            assert response.status in (400, 404), path
            assert error_of(response)

        assert server.requests == []


@pytest.mark.parametrize(
    "path",
    ["/v1/models", "/v1/chat/completions?a=1", "/v1//../metrics", "//v1/models", "/metrics/../v1/models",
     "/v1/%252e%252e/metrics", "/v1/a%20b", "/v1/models?next=/../metrics", "http://other/v1/models"],
)  # fmt: skip
async def test_what_passes_is_under_v1_for_the_replica_too(path: str, start_gateway: StartGateway) -> None:
    """The path that the replica gets stays under /v1/ when it is decoded and resolved."""
    async with Server(answer_ok) as server:
        response = await fetch((await start_gateway(server)).port, path)

        assert response.status == 200
        (request,) = server.requests
        assert posixpath.normpath(unquote(request.path.partition("?")[0])).startswith("/v1/")


@pytest.mark.parametrize("method", ["CONNECT", "TRACE"])
async def test_tunnels_are_refused(method: str, start_gateway: StartGateway) -> None:
    """Neither a tunnel nor a protocol upgrade goes around the routes."""
    async with Server(answer_ok) as server:
        gateway = await start_gateway(server)
        target = "gateway:80" if method == "CONNECT" else "/metrics"

        assert (await fetch(gateway.port, target, method=method)).status in (400, 403, 404)
        upgrade = ("connection: upgrade", "upgrade: websocket")
        assert (await fetch(gateway.port, "/v1/realtime", headers=upgrade)).status in (400, 403, 404)
        assert server.requests == []


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", KEY, f"Basic {KEY}", f"Bearer {KEY[:-1]}", f"Bearer {KEY}x",
     f"Bearer  {KEY}", f"Bearer {KEY.upper()}", f"Bearer x, Bearer {KEY}", "Bearer .*"],
)  # fmt: skip
async def test_without_the_key_there_is_401(authorization: str | None, start_gateway: StartGateway) -> None:
    """Every header but the right one is refused, with a JSON error that does not show the key."""
    async with Server(answer_ok) as server:
        gateway = await start_gateway(server, api_key=KEY)
        headers = () if authorization is None else (f"authorization: {authorization}",)
        response = await fetch(gateway.port, "/v1/models", headers=headers)

        assert response.status == 401
        assert error_of(response)["type"] == "AuthenticationError"
        assert response.headers["www-authenticate"] == "Bearer"
        assert KEY.encode() not in response.body
        assert server.requests == []


async def test_the_key_opens_and_health_needs_none(start_gateway: StartGateway) -> None:
    """The right header passes, to the replica too, which may check it again."""
    async with Server(answer_ok) as server:
        gateway = await start_gateway(server, api_key=KEY)
        response = await fetch(gateway.port, "/v1/models", headers=(f"authorization: Bearer {KEY}",))

        assert response.body == b"good"
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
        assert (await fetch(gateway.port, "/health")).status == 200


async def test_two_authorization_headers_are_not_one(start_gateway: StartGateway) -> None:
    """The right key beside another one is refused."""
    async with Server(answer_ok) as server:
        gateway = await start_gateway(server, api_key=KEY)
        headers = ("authorization: Bearer other", f"authorization: Bearer {KEY}")

        assert (await fetch(gateway.port, "/v1/models", headers=headers)).status == 401


async def test_health_says_whether_there_is_a_replica(start_gateway: StartGateway) -> None:
    """503 without replicas, 200 with one, and no replica is asked."""
    async with Server(answer_ok) as server:
        gateway = await start_gateway()
        none = await fetch(gateway.port, "/health")
        gateway.set_endpoints([server.address])
        while (await gateway.stats()).membership_healthy == 0:
            await asyncio.sleep(0.01)
        one = await fetch(gateway.port, "/health")

        assert (none.status, error_of(none)["message"]) == (503, "no replica is ready")
        assert (one.status, one.body) == (200, b"")
        assert server.requests == []


async def test_without_replicas_there_is_503_at_once(start_gateway: StartGateway) -> None:
    """A request is not kept waiting for the first replica."""
    response = await fetch((await start_gateway()).port, "/v1/models")

    assert response.status == 503
    assert error_of(response)["message"] == "no replica is ready"
    assert response.headers["retry-after"] == "1"


async def test_one_request_too_many_is_503_at_once(start_gateway: StartGateway) -> None:
    """max_pending requests are in the system; the next is refused while they wait, and served when one has left."""
    release = asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        await release.wait()
        await exchange.answer(b"good")

    async with Server(wait) as server:
        gateway = await start_gateway(server, max_pending=3)
        admitted = [asyncio.create_task(fetch(gateway.port, "/v1/models")) for _ in range(3)]
        while (await gateway.stats()).in_system < 3:
            await asyncio.sleep(0.01)

        refused = await fetch(gateway.port, "/v1/models")
        assert refused.status == 503
        assert refused.headers["x-envoy-overloaded"] == "true"
        assert refused.headers["retry-after"] == "1"
        assert error_of(refused)["type"] == "OverloadedError"
        assert not any(request.done() for request in admitted)
        assert (await gateway.stats()).overflows == 1

        release.set()
        assert [response.status for response in await asyncio.gather(*admitted)] == [200] * 3
        assert (await fetch(gateway.port, "/v1/models")).status == 200
        assert (await gateway.stats()).in_system == 0


async def test_idle_connections_are_bounded(start_gateway: StartGateway) -> None:
    """Beyond twice max_pending and 256 connections the gateway accepts no more, and its admin port still answers."""
    async with Server(answer_ok) as server:
        gateway = await start_gateway(server, max_pending=2)
        connections = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(270)]
        while (await gateway.stats()).downstream_cx_active < 260:
            await asyncio.sleep(0.01)
        pending = {asyncio.create_task(reader.read()) for reader, _ in connections}
        while len(pending) > 260:
            _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)

        assert len(pending) == 260
        assert (await gateway.stats()).downstream_cx_active == 260
        for task in pending:
            task.cancel()
        for _, writer in connections:
            writer.close()


async def test_a_body_too_large_is_413(start_gateway: StartGateway) -> None:
    """The limit holds with and without a declared length, and a body of exactly the limit passes."""
    async with Server(answer_ok) as server:
        gateway = await start_gateway(server, max_body_bytes=100_000)
        chunked = b"186a1\r\n" + bytes(100_001) + b"\r\n0\r\n\r\n"

        declared = await fetch(gateway.port, "/v1/x", method="POST", body=bytes(100_001))
        undeclared = await fetch(
            gateway.port, "/v1/x", method="POST", headers=("transfer-encoding: chunked",), raw_body=chunked
        )
        assert (declared.status, undeclared.status) == (413, 413)
        assert error_of(declared)["message"] == "the request body is larger than 100000 bytes"
        assert server.requests == []

        assert (await fetch(gateway.port, "/v1/x", method="POST", body=bytes(100_000))).status == 200


async def test_full_memory_admits_nothing_more(start_gateway: StartGateway) -> None:
    """While uploads fill the heap, others are told so; when they are gone, requests pass again."""
    async with Server(answer_ok) as server:
        gateway = await start_gateway(server, max_heap_bytes=48 << 20)
        uploads = []
        async with asyncio.timeout(30):
            while (response := await fetch(gateway.port, "/v1/x")).status == 200:
                _, upload = await asyncio.open_connection("127.0.0.1", gateway.port)
                uploads.append(upload)
                upload.write(
                    b"POST /v1/x HTTP/1.1\r\nhost: gateway\r\ncontent-length: 10000001\r\n\r\n" + bytes(10_000_000)
                )
                with contextlib.suppress(ConnectionError):  # the gateway may refuse this one already
                    await upload.drain()

            assert response.status == 503
            assert error_of(response)["message"] == "the gateway's memory is full of requests"
            for upload in uploads:
                upload.close()
            while (await fetch(gateway.port, "/v1/x")).status != 200:
                pass


async def test_clients_cannot_steer_the_gateway(start_gateway: StartGateway) -> None:
    """Headers by which Envoy lets trusted callers change timeouts and retries have no effect, nor reach the replica."""

    async def slow_failure(exchange: Exchange) -> None:
        await asyncio.sleep(0.1)
        await exchange.answer(b"no", status=500)

    steering = (
        "x-envoy-upstream-rq-timeout-ms: 1",
        "x-envoy-upstream-rq-per-try-timeout-ms: 1",
        "x-envoy-upstream-stream-duration-ms: 1",
        "x-envoy-max-retries: 9",
        "x-envoy-retry-on: 5xx",
        "x-envoy-internal: true",
    )
    async with Server(slow_failure) as server:
        gateway = await start_gateway(server, retries=1)
        response = await fetch(gateway.port, "/v1/x", headers=(*steering, "x-request-id: mine"))

        assert (response.status, response.body) == (500, b"no")
        assert len(server.requests) == 2
        sent = server.requests[0].headers
        assert not {header.partition(":")[0] for header in steering[:-1]} & sent.keys()
        assert sent["x-request-id"] == response.headers["x-request-id"] != "mine"
