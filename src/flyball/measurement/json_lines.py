"""Records as JSON Lines: one object a line, times in seconds to the microsecond.

`chunk_times_us` is compact: the first is microseconds from the run's start, each other from the one before it.
"""

import json
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from flyball.errors import UsageError
from flyball.measurement.record import RequestRecord

SCHEMA = 1
"""Raised when a field changes its meaning or goes."""

_TIMES = ("intended_s", "sent_s", "headers_s", "first_token_s", "last_token_s", "end_s")
_PLAIN = tuple(field.name for field in fields(RequestRecord) if field.name != "chunk_times_s")


def record_to_json(record: RequestRecord) -> str:
    """One line, without its newline."""
    values: dict[str, Any] = {"schema": SCHEMA} | {name: getattr(record, name) for name in _PLAIN}
    for name in _TIMES:
        if values[name] is not None:
            values[name] = round(values[name], 6)
    ticks = [round(time * 1_000_000) for time in record.chunk_times_s]
    values["chunk_times_us"] = [tick - before for tick, before in zip(ticks, [0, *ticks], strict=False)]
    return json.dumps(values, separators=(",", ":"))


def record_from_json(line: str) -> RequestRecord:
    """The record of one line; keys that this version does not know are ignored. Raises ValueError."""
    values = json.loads(line)
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise ValueError(f"not a request record of schema {SCHEMA}")
    times, tick = [], 0
    for gap in values.get("chunk_times_us", []):
        tick += gap
        times.append(tick / 1_000_000)
    try:
        return RequestRecord(chunk_times_s=tuple(times), **{name: values[name] for name in _PLAIN})
    except KeyError as error:
        raise ValueError(f"{error.args[0]} is missing") from None


def records_to_json(records: Iterable[RequestRecord]) -> str:
    """JSON Lines."""
    return "".join(record_to_json(record) + "\n" for record in records)


def records_from_json(text: str, *, source: str) -> list[RequestRecord]:
    """The records of JSON Lines. Raises UsageError with the line that is wrong."""
    records = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            records.append(record_from_json(line))
        except (ValueError, TypeError) as error:
            raise UsageError(f"{source}:{number}: {error}", fix="name a records.jsonl that flyball wrote") from None
    return records
