"""HTTP/1.1 over loopback, byte by byte: servers that misbehave on purpose, a client that sends paths as they are."""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Exchange:
    """One request at a server, and the means to answer it well or badly."""

    def __init__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        self.request = request
        self._writer = writer

    async def head(self, status: int = 200, *headers: str) -> None:
        lines = [f"HTTP/1.1 {status} Any", *headers, "", ""]
        await self._write("\r\n".join(lines).encode())

    async def stream_head(self) -> None:
        """What vLLM sends before the first token."""
        await self.head(200, "content-type: text/event-stream", "transfer-encoding: chunked")

    async def chunk(self, data: bytes) -> None:
        await self._write(b"%x\r\n%s\r\n" % (len(data), data))

    async def event(self, data: str) -> None:
        await self.chunk(f"data: {data}\n\n".encode())

    async def end(self) -> None:
        await self._write(b"0\r\n\r\n")

    async def answer(self, body: bytes = b"", status: int = 200) -> None:
        await self.head(status, f"content-length: {len(body)}")
        await self._write(body)

    def reset(self) -> None:
        """What a killed process leaves: a TCP reset."""
        peer: socket.socket = self._writer.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def close(self) -> None:
        """What a process leaves that exits: the end of the stream, before its time."""
        self._writer.close()

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()


Handler = Callable[[Exchange], Awaitable[None]]


class Server:
    """Answers every request with `handler`; remembers the requests. `async with` opens and closes it."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[Request] = []
        self.connections = 0
        self.port = 0

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 26)
        self.port = self._server.sockets[0].getsockname()[1]
        self._tasks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while not writer.is_closing():
                    request = await _read_request(reader)
                    self.requests.append(request)
                    await self.handler(Exchange(request, writer))
        finally:
            self._tasks.discard(task)
            writer.close()


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = _headers(head[1:])
    body = await _read_body(reader, headers) if headers.keys() & {"content-length", "transfer-encoding"} else b""
    return Request(method=method, path=path, headers=headers, body=body)


def _headers(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines if line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    return b"".join([chunk async for chunk in _chunks(reader)])


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)


@dataclass(slots=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes = b""
    chunk_times_s: list[float] = field(default_factory=list)
    """Seconds from the request to each chunk of a chunked body."""
    complete: bool = True
    """False: the connection ended within the body."""


async def fetch(
    port: int,
    path: str,
    *,
    method: str = "GET",
    headers: tuple[str, ...] = (),
    body: bytes | None = None,
    raw_body: bytes = b"",
) -> Response:
    """One request on a connection of its own; the path goes out as given, and so does `raw_body`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 26)
    try:
        started = time.perf_counter()
        lines = [f"{method} {path} HTTP/1.1", "host: gateway", *headers]
        if body is not None:
            lines.append(f"content-length: {len(body)}")
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + (body or raw_body))
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        response = Response(status=int(head[0].split(" ")[1]), headers=_headers(head[1:]))
        if method == "HEAD" or response.status in (204, 304):
            return response
        try:
            if response.headers.get("transfer-encoding") == "chunked":
                async for chunk in _chunks(reader):
                    response.chunk_times_s.append(time.perf_counter() - started)
                    response.body += chunk
            else:
                response.body = await _read_body(reader, {"content-length": "0"} | response.headers)
        except (asyncio.IncompleteReadError, ConnectionError):
            response.complete = False
        return response
    finally:
        writer.close()


async def fetch_stream(port: int, path: str) -> AsyncIterator[bytes]:
    """The chunks of a chunked answer, as they come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nhost: gateway\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        async for chunk in _chunks(reader):
            yield chunk
    finally:
        writer.close()
