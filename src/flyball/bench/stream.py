"""What a streamed answer held, worked out after it ended from what was read and when.

While a stream runs only bytes and times are kept, so that no parsing delays anybody's timestamps. Afterwards most
events are told apart by a search for bytes; only the last few are parsed as JSON.

vLLM 0.32 sends an announcement (`"role":"assistant","content":""`), one event for each engine step with
`"delta":{"content":"..."}` (empty where the step ended within a character: still a token), `finish_reason` on the last
of them, one event with `"choices":[]` and `usage`, and `[DONE]`.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Read = tuple[float, bytes]
"""When bytes were read, and the bytes."""

_EVENT_END = re.compile(rb"\r?\n\r?\n")
# Inside a JSON string quotes are escaped, so these match keys and never an answer that talks about JSON.
_SOME_OUTPUT = re.compile(rb'"(?:content|reasoning|reasoning_content)"\s*:\s*"(?!")')
_EMPTY_CONTENT = re.compile(rb'"content"\s*:\s*""')
_GOOD_ENDS = frozenset({"stop", "length", "tool_calls", "function_call", "content_filter"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedAnswer:
    """`chunk_times` has the time of every event with output, on the clock of the reads."""

    chunk_times: tuple[float, ...]
    prompt_tokens: int | None
    output_tokens: int | None
    complete: bool
    """Whether the answer came to its end: a proper finish_reason or [DONE], and no error."""
    error: str
    """What the stream itself said went wrong; empty if nothing."""


def parse_stream(reads: Sequence[Read]) -> StreamedAnswer:
    """The answer in a server-sent event stream. An event has the time of the read that completed it."""
    buffer = b"".join(data for _, data in reads)
    times: list[float] = []
    tail_start = 0
    for start, end, at in _events(buffer, reads):
        if _carries_output(buffer, start, end):
            times.append(at)
            tail_start = start
    ending = _Ending()
    for payload in _payloads(buffer[tail_start:]):
        ending.read(payload)
    return StreamedAnswer(
        chunk_times=tuple(times),
        prompt_tokens=ending.usage.get("prompt_tokens"),
        output_tokens=ending.usage.get("completion_tokens"),
        complete=ending.finished and not ending.error,
        error=ending.error,
    )


def error_message(body: bytes) -> str:
    """What an error body says, on one line: OpenAI's `error.message`, FastAPI's `detail`, or its beginning."""
    text = body.decode(errors="replace").strip()
    try:
        document = json.loads(text)
    except ValueError:
        return " ".join(text.split())[:300]
    return _message(document)


def _message(document: Any) -> str:
    inner = document.get("error", document) if isinstance(document, dict) else document
    if isinstance(inner, dict):
        inner = inner.get("message") or inner.get("detail") or inner
    return " ".join(str(inner).split())[:300]


def _events(buffer: bytes, reads: Sequence[Read]) -> Iterator[tuple[int, int, float]]:
    """(start, end, time) of every event that is complete."""
    start, read, received = 0, 0, len(reads[0][1]) if reads else 0
    for match in _EVENT_END.finditer(buffer):
        end = match.end()
        while received < end:
            read += 1
            received += len(reads[read][1])
        yield start, end, reads[read][0]
        start = end


def _carries_output(buffer: bytes, start: int, end: int) -> bool:
    if _SOME_OUTPUT.search(buffer, start, end):
        return True
    return _EMPTY_CONTENT.search(buffer, start, end) is not None and buffer.find(b'"role"', start, end) < 0


def _payloads(tail: bytes) -> Iterator[bytes]:
    """The data of every event, the last one also where its end is missing."""
    for event in _EVENT_END.split(tail):
        data = b"\n".join(line[5:].strip() for line in event.splitlines() if line.startswith(b"data:"))
        if data:
            yield data


class _Ending:
    """Gathers what the last events say."""

    def __init__(self) -> None:
        self.finished = False
        self.error = ""
        self.usage: dict[str, int] = {}

    def read(self, payload: bytes) -> None:
        if payload == b"[DONE]":
            self.finished = True
            return
        try:
            event = json.loads(payload)
        except ValueError:
            return  # half an event: the stream broke off in it
        if not isinstance(event, dict):
            return
        if event.get("error"):
            self.error = _message(event)
        if isinstance(event.get("usage"), dict):
            self.usage = event["usage"]
        for choice in event.get("choices") or []:
            reason = choice.get("finish_reason")
            if reason in _GOOD_ENDS:
                self.finished = True
            elif reason is not None:
                self.error = f"finish_reason {reason}"
