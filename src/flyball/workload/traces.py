"""Reads recorded requests. Three formats, told apart by their first line:

    TIMESTAMP,ContextTokens,GeneratedTokens      Azure's public LLM inference traces (CSV, wall-clock times)
    {"timestamp": 27482, "input_length": 6955, "output_length": 52, ...}     Mooncake's (JSON Lines, milliseconds)
    arrival_s,prompt_tokens,output_tokens        plain CSV, seconds; the two lengths may be absent

Requests may stand in any order; times are counted from the earliest. A length of 0 is read as 1, the least a server
takes.
"""

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flyball.errors import UsageError

_FORMATS = (
    "a trace is CSV with the header TIMESTAMP,ContextTokens,GeneratedTokens or arrival_s,prompt_tokens,output_tokens, "
    "or JSON Lines with timestamp, input_length, output_length"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """Recorded requests in the order of their arrival.

    `arrival_s` counts from the first request, which is at 0. The lengths are those of the requests, or None where the
    trace holds none.
    """

    arrival_s: tuple[float, ...]
    prompt_tokens: tuple[int, ...] | None = None
    output_tokens: tuple[int, ...] | None = None


def parse_trace(text: str, *, source: str) -> Trace:
    """The requests in `text`; `source` names the file in errors. Raises UsageError with the line that is wrong."""
    first = next((line for line in text.splitlines() if line.strip()), "").strip()
    if first.startswith("{"):
        return _trace(list(_mooncake(text, source)), source)
    columns = [column.strip().lower() for column in first.lstrip("\ufeff").split(",")]
    if columns == ["timestamp", "contexttokens", "generatedtokens"]:
        return _trace(list(_azure(text, source)), source)
    if columns in (["arrival_s"], ["arrival_s", "prompt_tokens", "output_tokens"]):
        return _trace(list(_plain(text, source, lengths=len(columns) == 3)), source)
    raise UsageError(f"{source} is not a trace that flyball reads: it begins with {first[:60]!r}", fix=_FORMATS)


_Row = tuple[float, int | None, int | None]


def _trace(rows: list[_Row], source: str) -> Trace:
    if not rows:
        raise UsageError(f"{source} holds no requests", fix=_FORMATS)
    rows.sort(key=lambda row: row[0])
    start = rows[0][0]
    prompts = tuple(prompt for _, prompt, _ in rows if prompt is not None)
    outputs = tuple(output for _, _, output in rows if output is not None)
    return Trace(
        arrival_s=tuple(time - start for time, _, _ in rows),
        prompt_tokens=prompts or None,
        output_tokens=outputs or None,
    )


def _azure(text: str, source: str) -> Iterator[_Row]:
    for where, fields in _csv_rows(text, source, columns=3):
        try:
            time = datetime.fromisoformat(fields[0])
        except ValueError:
            raise UsageError(
                f"{where}: {fields[0]!r} is not a date and time", fix="write 2023-11-16 18:17:03.97"
            ) from None
        aware = time if time.tzinfo else time.replace(tzinfo=UTC)
        yield aware.timestamp(), _tokens(fields[1], where), _tokens(fields[2], where)


def _plain(text: str, source: str, *, lengths: bool) -> Iterator[_Row]:
    for where, fields in _csv_rows(text, source, columns=3 if lengths else 1):
        prompt, output = (_tokens(fields[1], where), _tokens(fields[2], where)) if lengths else (None, None)
        yield _seconds(fields[0], where), prompt, output


def _mooncake(text: str, source: str) -> Iterator[_Row]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{source}:{number}"
        try:
            request = json.loads(line)
            fields = request["timestamp"], request["input_length"], request["output_length"]
        except (ValueError, TypeError):
            raise UsageError(f"{where}: not a JSON object", fix="one request a line; " + _FORMATS) from None
        except KeyError as error:
            raise UsageError(f"{where}: {error.args[0]} is missing", fix=_FORMATS) from None
        yield _seconds(fields[0], where) / 1000, _tokens(fields[1], where), _tokens(fields[2], where)


def _csv_rows(text: str, source: str, *, columns: int) -> Iterator[tuple[str, list[str]]]:
    """(place, fields) of every row below the header."""
    rows = csv.reader(text.splitlines())
    header_seen = False
    for fields in rows:
        if not any(field.strip() for field in fields):
            continue
        if not header_seen:
            header_seen = True
            continue
        where = f"{source}:{rows.line_num}"
        if len(fields) != columns:
            raise UsageError(f"{where}: {len(fields)} columns where the header has {columns}", fix="mend the line")
        yield where, [field.strip() for field in fields]


def _seconds(value: Any, where: str) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise UsageError(f"{where}: {value!r} is not a time", fix="write a number")
    return seconds


def _tokens(value: Any, where: str) -> int:
    try:
        tokens = int(value)
    except (TypeError, ValueError):
        tokens = -1
    if tokens < 0:
        raise UsageError(f"{where}: {value!r} is not a number of tokens", fix="write a whole number of at least 1")
    return max(tokens, 1)
