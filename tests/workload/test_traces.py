from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.errors import UsageError
from flyball.workload import parse_trace

DATA = Path(__file__).parent / "data"


def test_azure_trace() -> None:
    """Azure's CSV: wall-clock times to 0.1 microseconds become seconds from the first request."""
    trace = parse_trace((DATA / "azure_code.csv").read_text(), source="azure.csv")
    assert len(trace.arrival_s) == 39
    assert trace.arrival_s[:3] == pytest.approx((0.0, 0.052, 0.098189), abs=2e-6)
    assert trace.prompt_tokens is not None
    assert trace.prompt_tokens[:4] == (4808, 3180, 110, 7433)
    assert trace.output_tokens is not None
    assert trace.output_tokens[:4] == (10, 8, 27, 14)


def test_mooncake_trace() -> None:
    """Mooncake's JSON Lines: milliseconds become seconds; keys beyond the three are ignored."""
    trace = parse_trace((DATA / "mooncake.jsonl").read_text(), source="mooncake.jsonl")
    assert len(trace.arrival_s) == 30
    assert trace.arrival_s[-1] == 9.0
    assert trace.prompt_tokens is not None
    assert trace.prompt_tokens[:2] == (6758, 7322)
    assert trace.output_tokens is not None
    assert trace.output_tokens[:2] == (500, 490)


def test_plain_csv_without_lengths() -> None:
    """A column of arrival times alone is a trace whose lengths are drawn elsewhere."""
    trace = parse_trace("arrival_s\n1.5\n\n2\n", source="x.csv")
    assert trace.arrival_s == (0.0, 0.5)
    assert trace.prompt_tokens is None
    assert trace.output_tokens is None


def test_requests_are_sorted_with_their_lengths() -> None:
    """Rows in any order become arrivals in order, each with its own lengths; a length of 0 is read as 1."""
    trace = parse_trace("arrival_s,prompt_tokens,output_tokens\n7,70,0\n5,50,5\n6,60,6\n", source="x.csv")
    assert trace.arrival_s == (0.0, 1.0, 2.0)
    assert trace.prompt_tokens == (50, 60, 70)
    assert trace.output_tokens == (5, 6, 1)


def test_header_as_spreadsheets_write_it() -> None:
    """A byte-order mark, capitals, spaces and CRLF do not matter."""
    trace = parse_trace("\ufeffArrival_s, Prompt_tokens, Output_tokens\r\n0, 1, 2\r\n", source="x.csv")
    assert trace.prompt_tokens == (1,)


def test_time_zones_are_kept_apart() -> None:
    """A time with an offset and the same instant in UTC are the same arrival."""
    rows = "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 02:00:00+02:00,1,1\n2024-05-10 00:00:00,2,2\n"
    assert parse_trace(rows, source="x.csv").arrival_s == (0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.csv is not a trace that flyball reads: it begins with ''"),
        ("time,tokens\n1,2\n", "x.csv is not a trace that flyball reads: it begins with 'time,tokens'"),
        ("arrival_s\n", "x.csv holds no requests"),
        ("arrival_s\nsoon\n", "x.csv:2: 'soon' is not a time"),
        ("arrival_s\nnan\n", "x.csv:2: 'nan' is not a time"),
        ("arrival_s,prompt_tokens,output_tokens\n1,2\n", "x.csv:2: 2 columns where the header has 3"),
        ("arrival_s,prompt_tokens,output_tokens\n1,-2,3\n", "x.csv:2: '-2' is not a number of tokens"),
        ("arrival_s,prompt_tokens,output_tokens\n1,2,many\n", "x.csv:2: 'many' is not a number of tokens"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\nnoon,2,3\n", "x.csv:2: 'noon' is not a date and time"),
        ('{"timestamp": 0, "input_length": 5}\n', "x.csv:1: output_length is missing"),
        ('{"timestamp": 0, "input_length": 5, "output_length": 1}\n[1]\n', "x.csv:2: not a JSON object"),
        ('{"timestamp": 0, "input_length": 5\n', "x.csv:1: not a JSON object"),
    ],
)
def test_mistakes_name_the_line(text: str, message: str) -> None:
    """Whatever is wrong in a trace, the error names the file and the line and says what to write."""
    with pytest.raises(UsageError) as caught:
        parse_trace(text, source="x.csv")
    assert caught.value.what == message
    assert caught.value.fix


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 10**6), st.integers(0, 10**5)), min_size=1).map(
        lambda rows: sorted(rows, key=lambda row: row[0])
    )
)
def test_plain_csv_keeps_every_request(rows: list[tuple[float, int, int]]) -> None:
    """Any requests written as plain CSV are read back: gaps exactly, lengths with 0 as 1."""
    lines = [f"{time!r},{prompt},{output}" for time, prompt, output in rows]
    trace = parse_trace("arrival_s,prompt_tokens,output_tokens\n" + "\n".join(lines), source="x.csv")
    assert trace.arrival_s == tuple(time - rows[0][0] for time, _, _ in rows)
    assert trace.prompt_tokens == tuple(max(prompt, 1) for _, prompt, _ in rows)
    assert trace.output_tokens == tuple(max(output, 1) for _, _, output in rows)
