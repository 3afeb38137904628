"""What the gateway adds to a streamed answer: to its first token (TTFT), and to the time between tokens (ITL).

A server in a process of its own streams tokens at a fixed pace, as vLLM does: headers at once, the first token after a
while, then one event a token. A client in this process measures the same request directly and through the gateway, in
turns and at the same concurrency, so that whatever else the machine does meets both alike. Half of the pairs begin
with the one, half with the other. Connections are new for every request on both sides: the gateway's extra connection
to the replica and everything that it does count.

    python benchmarks/gateway_overhead.py [--requests 200] [--concurrency 4] [--tokens 64] [--pace-ms 5]
"""

import argparse
import asyncio
import json
import multiprocessing
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from flyball.gateway import Gateway, GatewaySettings
from flyball.processes import Nursery

Seconds = NDArray[np.float64]
FIRST_TOKEN_S = 0.02
BODY = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "word " * 500}]}).encode()
REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY)
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b'data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}\n\n'
CHUNK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One request: its TTFT and the gaps between its tokens, in seconds."""

    ttft_s: float
    gaps_s: Seconds


def serve(pipe: Connection, tokens: int, pace_s: float) -> None:
    """The server process: tells its port, then streams until it is ended."""

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                await reader.readexactly(int(length.partition(b":")[2]))
                writer.write(HEAD)
                due = time.perf_counter() + FIRST_TOKEN_S
                for _ in range(tokens):
                    await asyncio.sleep(max(0.0, due - time.perf_counter()))
                    writer.write(CHUNK)
                    due += pace_s
                writer.write(b"0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(stream, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


async def measure(port: int) -> Timing:
    """One request on a new connection, timed from before the connection."""
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(REQUEST)
    await reader.readuntil(b"\r\n\r\n")
    times = np.array([at async for at in _token_times(reader)])
    writer.close()
    return Timing(ttft_s=float(times[0]) - started, gaps_s=np.diff(times))


async def _token_times(reader: asyncio.StreamReader) -> AsyncIterator[float]:
    while size := int(await reader.readuntil(b"\r\n"), 16):
        data = await reader.readexactly(size + 2)
        at = time.perf_counter()
        for _ in range(data.count(b"data: ")):  # tokens that were read together came together
            yield at


async def compare(direct: int, through: int, *, requests: int, concurrency: int) -> tuple[list[Timing], list[Timing]]:
    """`requests` pairs, `concurrency` at a time: (direct, through the gateway)."""
    timings: tuple[list[Timing], list[Timing]] = ([], [])
    numbers = iter(range(requests))

    async def work() -> None:
        for number in numbers:
            for way in (0, 1) if number % 2 else (1, 0):
                timings[way].append(await measure((direct, through)[way]))

    await asyncio.gather(*(work() for _ in range(concurrency)))
    return timings


def report(direct: list[Timing], through: list[Timing], envoy_cpu_s: float) -> None:
    """The tables, in milliseconds."""
    rows = {
        "TTFT": [np.array([timing.ttft_s for timing in way]) for way in (direct, through)],
        "ITL": [np.concatenate([timing.gaps_s for timing in way]) for way in (direct, through)],
    }
    print(f"{'ms':<6}{'':<10}" + "".join(f"{name:>9}" for name in ("p50", "p90", "p99", "mean")) + f"{'samples':>10}")
    for name, ways in rows.items():
        for label, values in zip(("direct", "gateway"), ways, strict=True):
            figures = [*np.percentile(values, [50, 90, 99]), values.mean()]
            print(f"{name:<6}{label:<10}" + "".join(f"{1e3 * value:9.3f}" for value in figures) + f"{values.size:>10}")
    (ttft_direct, ttft_through), (itl_direct, itl_through) = rows.values()
    low, high = _difference_of_medians(ttft_direct, ttft_through)
    tokens = itl_through.size + len(through)
    added = np.median(ttft_through) - np.median(ttft_direct)
    print(f"TTFT added at the median: {1e3 * added:.3f} ms (95 % interval {1e3 * low:.3f} to {1e3 * high:.3f})")
    median, mean = np.median(itl_through) / np.median(itl_direct), itl_through.mean() / itl_direct.mean()
    print(f"ITL, gateway / direct: {median:.4f} at the median, {mean:.4f} in the mean")
    cpu_ms, cpu_us = 1e3 * envoy_cpu_s / len(through), 1e6 * envoy_cpu_s / tokens
    print(f"Envoy's CPU: {cpu_ms:.2f} ms a request, {cpu_us:.0f} µs a token if tokens were all it did")


def _difference_of_medians(direct: Seconds, through: Seconds) -> tuple[float, float]:
    generator = np.random.default_rng(0)
    draws = [
        np.median(generator.choice(through, through.size)) - np.median(generator.choice(direct, direct.size))
        for _ in range(2000)
    ]
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


async def main(arguments: argparse.Namespace) -> None:
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(
        target=serve, args=(theirs, arguments.tokens, arguments.pace_ms / 1e3), daemon=True
    )
    server.start()
    port: int = ours.recv()
    with tempfile.TemporaryDirectory() as folder, Nursery() as nursery:
        gateway = Gateway(GatewaySettings(port=0), Path(folder), nursery)
        await gateway.start()
        gateway.set_endpoints([("127.0.0.1", port)])
        while not (await gateway.stats()).membership_healthy:
            await asyncio.sleep(0.01)
        await compare(port, gateway.port, requests=20, concurrency=arguments.concurrency)  # warm-up
        before = _cpu_s(gateway.child.pid)
        timings = await compare(port, gateway.port, requests=arguments.requests, concurrency=arguments.concurrency)
        envoy_cpu_s = _cpu_s(gateway.child.pid) - before
        await gateway.stop(1)
    server.kill()
    print(
        f"{arguments.requests} pairs, {arguments.concurrency} at a time, {arguments.tokens} tokens every "
        f"{arguments.pace_ms:g} ms; {psutil.cpu_count()} cores, load {psutil.getloadavg()[0]:.1f}"
    )
    report(*timings, envoy_cpu_s)


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What the gateway adds to TTFT and to the time between tokens.")
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--pace-ms", type=float, default=5.0)
    asyncio.run(main(parser.parse_args()))
