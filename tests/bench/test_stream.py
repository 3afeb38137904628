import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.bench.stream import error_message, parse_stream

DATA = Path(__file__).parent / "data"
REAL = (DATA / "vllm-0.32.0-stream.txt").read_bytes()
PART_CHARACTERS = (DATA / "vllm-0.32.0-part-characters.txt").read_bytes()


def _chunk(delta: dict[str, object], finish: str | None = None) -> bytes:
    return (
        b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode() + b"\n\n"
    )


def test_a_real_stream() -> None:
    """Six tokens of vLLM 0.32: the announcement, the usage event and [DONE] are no output."""
    answer = parse_stream([(1.0, REAL)])
    assert answer.chunk_times == (1.0,) * 6
    assert (answer.prompt_tokens, answer.output_tokens) == (37, 6)
    assert answer.complete
    assert answer.error == ""


def test_a_token_within_a_character_is_a_token() -> None:
    """A token that does not end a character comes from vLLM as an empty delta; it has arrived all the same."""
    assert PART_CHARACTERS.count(b'"content":""') > 2
    answer = parse_stream([(1.0, PART_CHARACTERS)])
    assert len(answer.chunk_times) == answer.output_tokens == 40


@given(st.lists(st.integers(1, len(REAL) - 1), max_size=40))
def test_cutting_the_bytes_elsewhere_changes_times_only(cuts: list[int]) -> None:
    """However the network cuts the stream: the same events, each at the time of the read that completed it."""
    borders = sorted({0, *cuts, len(REAL)})
    reads = [(float(start), REAL[start:end]) for start, end in pairwise(borders)]
    answer = parse_stream(reads)
    assert (len(answer.chunk_times), answer.output_tokens, answer.complete) == (6, 6, True)
    ends = [at + 2 for at in range(len(REAL)) if REAL.startswith(b"\n\n", at)][1:7]
    assert list(answer.chunk_times) == [max(border for border in borders if border < end) for end in ends]


def test_events_of_one_read_share_its_time() -> None:
    """Two events in one read have one time, and the next read's has its own."""
    reads = [(1.0, _chunk({"content": "a"}) + _chunk({"content": "b"})), (2.0, _chunk({"content": "c"}, "stop"))]
    assert parse_stream(reads).chunk_times == (1.0, 1.0, 2.0)


def test_an_answer_may_quote_the_protocol() -> None:
    """Text that looks like the keys that are searched for does not add or hide a token."""
    reads = [
        (1.0, _chunk({"role": "assistant", "content": ""})),
        (2.0, _chunk({"content": 'say "content":"" and "role"'})),
        (3.0, _chunk({"content": '{"error": {"message": "no"}, "content": "x"}'})),
        (4.0, _chunk({"content": "\n\ndata: [DONE]\n\n"}, "stop")),
    ]
    answer = parse_stream(reads)
    assert answer.chunk_times == (2.0, 3.0, 4.0)
    assert answer.complete
    assert answer.error == ""


@pytest.mark.parametrize(
    ("delta", "times"),
    [
        ({"reasoning_content": "hm", "content": None}, (1.0,)),
        ({"reasoning": "hm"}, (1.0,)),
        ({"role": "assistant", "content": "x"}, (1.0,)),
        ({"role": "assistant", "content": ""}, ()),
        ({"role": "assistant", "content": None, "reasoning": ""}, ()),
        ({"content": None}, ()),
        ({}, ()),
    ],
)
def test_what_is_output(delta: dict[str, object], times: tuple[float, ...]) -> None:
    """Content and reasoning are output, with a role or without; an announcement and an empty delta are not."""
    assert parse_stream([(1.0, _chunk(delta))]).chunk_times == times


def test_line_ends_of_other_servers() -> None:
    """CRLF and spaces after colons, as other servers and proxies write them."""
    text = b'data: {"choices" : [{"delta" : {"content" : "a"}, "finish_reason" : "stop"}]}\r\n\r\ndata: [DONE]\r\n\r\n'
    answer = parse_stream([(1.0, text)])
    assert answer.chunk_times == (1.0,)
    assert answer.complete


@pytest.mark.parametrize(
    ("text", "complete", "error"),
    [
        (b"", False, ""),
        (_chunk({"content": "a"}), False, ""),
        (_chunk({"content": "a"}) + b'data: {"choices": [{"delta": {"con', False, ""),
        (_chunk({"content": "a"}, "stop"), True, ""),
        (_chunk({"content": "a"}) + b"data: [DONE]", True, ""),
        (
            _chunk({"content": "a"}) + b'data: {"error": {"message": "out of\\n memory"}}\n\ndata: [DONE]\n\n',
            False,
            "out of memory",
        ),
        (b'data: {"error": "gone"}\n\n', False, "gone"),
        (
            _chunk({"content": "a"}) + _chunk({"content": ""}, "abort") + b"data: [DONE]\n\n",
            False,
            "finish_reason abort",
        ),
        (b": a comment\n\nevent: ping\n\n" + _chunk({"content": "a"}, "length") + b"data: 5\n\n", True, ""),
    ],
)
def test_how_a_stream_ends(text: bytes, complete: bool, error: str) -> None:
    """An answer is complete with a proper finish_reason or [DONE], unless the stream reports an error."""
    answer = parse_stream([(1.0, text)])
    assert (answer.complete, answer.error) == (complete, error)


def test_no_usage_is_not_zero_tokens() -> None:
    """A server that does not report usage leaves the counts unknown."""
    answer = parse_stream([(1.0, _chunk({"content": "a"}, "stop"))])
    assert (answer.prompt_tokens, answer.output_tokens) == (None, None)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"The model `x` does not exist.","code":404}}', "The model `x` does not exist."),
        (b'{"detail":"Not Found"}', "Not Found"),
        (b'{"object":"error","message":"old style"}', "old style"),
        (b"upstream connect error\nor disconnect", "upstream connect error or disconnect"),
        (b'"plain"', "plain"),
        (b"\xff" * 3, "\ufffd\ufffd\ufffd"),
        (b"", ""),
        (b"x" * 1000, "x" * 300),
    ],
)
def test_error_bodies_become_one_line(body: bytes, message: str) -> None:
    """What servers and gateways put into error bodies, in one line that is not endless."""
    assert error_message(body) == message
