"""A server that streams chat completions as vLLM does, by a script: known tokens, known times, known accidents."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from loopback_http import Exchange, Server

Accident = Literal["reset", "close", "error event", "abort", "silence", "end"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """How one request is answered. The defaults are a good answer of max_tokens tokens without a pause."""

    status: int = 200
    message: str = "no"
    hold: asyncio.Event | None = None
    """Nothing is answered before it is set."""
    gap_s: float = 0.0
    """Between tokens."""
    tokens_per_event: int = 1
    events_per_write: int = 1
    write_bytes: int | None = None
    """Cut every write into pieces of this size, each with a turn of the loop of its own."""
    accident: Accident | None = None
    after: int = 0
    """The accident comes after this many tokens."""
    usage: bool = True


@dataclass(slots=True)
class Served:
    """What the server saw and did; times of `time.perf_counter`."""

    body: dict[str, Any]
    headers: dict[str, str]
    arrived: float
    written: list[float] = field(default_factory=list)
    """Just before each event with output was written."""
    ended: float | None = None


class ScriptedVLLM:
    """`async with` opens and closes it; `script` says how a request (its body) is answered."""

    def __init__(self, script: Callable[[dict[str, Any]], Script] = lambda _: Script()) -> None:
        self.script = script
        self.served: list[Served] = []
        self.under_way = self.most_under_way = 0
        self._server = Server(self._answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.__aexit__()

    async def _answer(self, exchange: Exchange) -> None:
        if exchange.request.path == "/v1/models":
            await exchange.answer(json.dumps({"object": "list", "data": [{"id": "tiny"}]}).encode())
            return
        if exchange.request.path != "/v1/chat/completions":
            await exchange.answer(b'{"detail":"Not Found"}', 404)
            return
        served = Served(json.loads(exchange.request.body), exchange.request.headers, time.perf_counter())
        self.served.append(served)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self._follow(self.script(served.body), served, exchange)
        finally:
            self.under_way -= 1
            served.ended = time.perf_counter()

    async def _follow(self, script: Script, served: Served, exchange: Exchange) -> None:
        if script.hold is not None:
            await script.hold.wait()
        if script.status != 200:
            body = {"error": {"message": script.message, "type": "x", "param": None, "code": script.status}}
            await exchange.answer(json.dumps(body).encode(), script.status)
            return
        if script.accident in ("reset", "close") and script.after == 0:
            exchange.reset() if script.accident == "reset" else exchange.close()
            return
        await exchange.head(200, "content-type: text/event-stream", "transfer-encoding: chunked", "x-replica: r-7")
        await exchange.event(_event({"role": "assistant", "content": ""}))
        tokens = served.body["max_tokens"] if script.accident is None else script.after
        await self._write_tokens(script, served, exchange, tokens)
        await _end(script, served, exchange, tokens)

    async def _write_tokens(self, script: Script, served: Served, exchange: Exchange, tokens: int) -> None:
        pending = b""
        starts = range(0, tokens, script.tokens_per_event)
        for number, start in enumerate(starts, start=1):
            if script.gap_s and start:
                await asyncio.sleep(script.gap_s)
            count = min(script.tokens_per_event, tokens - start)
            last = number == len(starts)
            finish = "length" if last and script.accident is None else None
            pending += f"data: {_event({'content': ' word' * count}, finish)}\n\n".encode()
            if number % script.events_per_write == 0 or last:
                events = pending.count(b"\n\n")
                served.written += [time.perf_counter()] * events
                for at in range(0, len(pending), script.write_bytes or len(pending)):
                    await exchange.chunk(pending[at : at + (script.write_bytes or len(pending))])
                    await asyncio.sleep(0)
                pending = b""


async def _end(script: Script, served: Served, exchange: Exchange, tokens: int) -> None:
    match script.accident:
        case "reset":
            await asyncio.sleep(0.05)  # a reset destroys what the peer has not read yet
            exchange.reset()
            return
        case "close":
            exchange.close()
            return
        case "silence":
            await asyncio.Event().wait()
        case "error event":
            await exchange.event(json.dumps({"error": {"message": script.message, "code": 500}}))
            await exchange.event("[DONE]")
        case "abort":
            await exchange.event(_event({"content": ""}, "abort"))
            await exchange.event("[DONE]")
        case None:
            if script.usage and served.body.get("stream_options", {}).get("include_usage"):
                prompt = len(served.body["messages"][0]["content"].split())
                usage = {"prompt_tokens": prompt, "total_tokens": prompt + tokens, "completion_tokens": tokens}
                await exchange.event(json.dumps({"choices": [], "usage": usage}))
            await exchange.event("[DONE]")
    await exchange.end()


def _event(delta: dict[str, str], finish: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "tiny", "choices": [choice]})
