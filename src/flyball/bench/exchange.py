"""Sends one request and records what came of it."""

import asyncio
import json
import time
from dataclasses import dataclass

import aiohttp

from flyball.bench.client import explain
from flyball.bench.stream import Read, StreamedAnswer, error_message, parse_stream
from flyball.measurement import Outcome, RequestRecord
from flyball.workload import RequestSpec

_REJECTED = (429, 503)


def request_body(model: str, prompt: str, output_tokens: int, *, ignore_eos: bool) -> bytes:
    """A streaming chat completion of at most `output_tokens`; `ignore_eos` is vLLM's own and makes that exactly."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": output_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if ignore_eos:
        body["ignore_eos"] = True
    return json.dumps(body).encode()


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request under way. Times are of `time.perf_counter`."""

    sent: float | None = None
    headers: float | None = None
    ended: float = 0.0
    status: int | None = None
    replica: str | None = None
    refusal: str = ""
    reads: list[Read]
    failure: BaseException | None = None

    async def run(self, session: aiohttp.ClientSession, url: str, body: bytes, *, replica_header: str | None) -> None:
        """Send `body` and read the answer to its end, whatever that is. A cancellation is kept and not raised."""
        self.sent = time.perf_counter()
        try:
            async with session.post(
                url, data=body, headers={"Content-Type": "application/json"}, allow_redirects=False
            ) as response:
                self.headers = time.perf_counter()
                self.status = response.status
                if replica_header is not None:
                    self.replica = response.headers.get(replica_header)
                if response.status != 200:
                    self.refusal = error_message(await response.content.read(4096))
                    return
                content, reads, now = response.content, self.reads, time.perf_counter
                while data := await content.readany():
                    reads.append((now(), data))
        except (aiohttp.ClientError, OSError, asyncio.CancelledError) as error:
            self.failure = error
        finally:
            self.ended = time.perf_counter()

    def record(self, request: RequestSpec, *, intended_s: float, origin: float) -> RequestRecord:
        """The record, with times in seconds from `origin`, to the microsecond."""
        answer = parse_stream(self.reads)
        times = [round(time - origin, 6) for time in answer.chunk_times]
        outcome, error = self._outcome(answer)
        return RequestRecord(
            index=request.index,
            intended_s=round(intended_s, 6),
            sent_s=None if self.sent is None else round(self.sent - origin, 6),
            headers_s=None if self.headers is None else round(self.headers - origin, 6),
            first_token_s=times[0] if times else None,
            last_token_s=times[-1] if times else None,
            end_s=round(self.ended - origin, 6),
            chunk_times_s=tuple(times),
            prompt_tokens=answer.prompt_tokens,
            output_tokens=answer.output_tokens,
            requested_output_tokens=request.output_tokens,
            outcome=outcome,
            error=error,
            http_status=self.status,
            replica=self.replica,
        )

    def _outcome(self, answer: StreamedAnswer) -> tuple[Outcome, str]:
        begun: Outcome = "cut" if answer.chunk_times else "error"
        if isinstance(self.failure, asyncio.CancelledError):
            return "cancelled", ""
        if self.status is not None and self.status != 200:
            return "rejected" if self.status in _REJECTED else "error", f"HTTP {self.status}: {self.refusal}"
        if answer.error:
            return "cut", answer.error
        if isinstance(self.failure, TimeoutError):
            return "timeout", explain(self.failure)
        if self.failure is not None:
            return begun, explain(self.failure)
        if not answer.complete:
            return begun, "the stream ended without finish_reason and [DONE]"
        return "ok", ""
