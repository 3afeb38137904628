import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.errors import UsageError
from flyball.measurement import RequestRecord, record_from_json, record_to_json, records_from_json, records_to_json

_TICKS = st.integers(0, 10**11).map(lambda tick: tick / 1e6)
_RECORDS = st.builds(
    RequestRecord,
    index=st.integers(0, 10**9),
    intended_s=_TICKS,
    sent_s=st.none() | _TICKS,
    headers_s=st.none() | _TICKS,
    first_token_s=st.none() | _TICKS,
    last_token_s=st.none() | _TICKS,
    end_s=_TICKS,
    chunk_times_s=st.lists(_TICKS, max_size=20).map(tuple),
    prompt_tokens=st.none() | st.integers(0, 10**6),
    output_tokens=st.none() | st.integers(0, 10**6),
    requested_output_tokens=st.integers(1, 10**6),
    outcome=st.sampled_from(["ok", "error", "cut", "rejected", "timeout", "cancelled"]),
    error=st.text(max_size=40),
    http_status=st.none() | st.integers(100, 599),
    replica=st.none() | st.text(max_size=10),
)
RECORD = RequestRecord(
    index=3,
    intended_s=1.5,
    sent_s=1.500025,
    end_s=2.0,
    requested_output_tokens=8,
    outcome="ok",
    chunk_times_s=(1.7, 1.72),
)


@given(st.lists(_RECORDS, max_size=5))
def test_records_survive_json_lines(records: list[RequestRecord]) -> None:
    """What was measured to the microsecond is read back exactly, one object a line."""
    text = records_to_json(records)
    assert len(text.split("\n")) == len(records) + 1
    assert records_from_json(text, source="x") == records


def test_times_are_rounded_to_the_microsecond() -> None:
    """Finer times, as a simulation has them, are read back within half a microsecond each, and do not drift."""
    times = tuple(step / 3 for step in range(1000))
    record = RequestRecord(
        index=0, intended_s=1 / 3, sent_s=1 / 3, end_s=1.0, requested_output_tokens=1, outcome="ok", chunk_times_s=times
    )
    read = record_from_json(record_to_json(record))
    assert read.chunk_times_s == pytest.approx(times, abs=6e-7)
    assert read.intended_s == pytest.approx(1 / 3, abs=6e-7)


def test_the_line_is_plain_and_compact() -> None:
    """Field names and units stand in the line; chunk times are gaps in microseconds."""
    values = json.loads(record_to_json(RECORD))
    assert values["schema"] == 1
    assert values["sent_s"] == 1.500025
    assert values["chunk_times_us"] == [1_700_000, 20_000]
    assert set(values) == {"schema", "chunk_times_us", *RequestRecord.__dataclass_fields__} - {"chunk_times_s"}


def test_later_keys_are_ignored() -> None:
    """A record with a key that a later version added can still be read."""
    line = json.dumps(json.loads(record_to_json(RECORD)) | {"energy_j": 5})
    assert record_from_json(line) == RECORD


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "x:2: Expecting property name"),
        ("[]", "x:2: not a request record of schema 1"),
        ('{"schema": 2}', "x:2: not a request record of schema 1"),
        ('{"schema": 1, "index": 0}', "x:2: intended_s is missing"),
        ('{"schema": 1, "chunk_times_us": ["a"]}', "x:2: unsupported operand"),
    ],
)
def test_mistakes_name_the_line(line: str, message: str) -> None:
    """A file that is not records says where it stops being so."""
    with pytest.raises(UsageError) as caught:
        records_from_json(f"{record_to_json(RECORD)}\n{line}\n", source="x")
    assert caught.value.what.startswith(message)
