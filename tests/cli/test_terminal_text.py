"""Prose and tables for terminals of any width, and whole lines for pipes."""

import io

from hypothesis import given
from hypothesis import strategies as st

from flyball.cli.terminal_text import table, terminal_width, wrapped

HEADS = ["", "on", "req/s each", "TTFT p95 ms at the peak"]
ROWS = [["L40S", "aws g6e.xlarge", "9.91", "173 (102-286)"], ["4 x A100", "azure Standard_NC80adis_H100_v5", "1", "9"]]


def test_a_pipe_has_no_width_and_its_lines_are_whole() -> None:
    """What is piped can be searched line by line."""
    assert terminal_width(io.StringIO()) is None
    assert wrapped("a " * 200, None) == "a " * 200
    lines = list(table(ROWS, left=2, heads=HEADS))
    assert len(lines) == 3
    assert lines[2].split() == ["4", "x", "A100", *ROWS[1][1].split(), "1", "9"]


def test_a_narrow_table_keeps_its_numbers_and_breaks_its_text() -> None:
    """At 60 columns the machine's name takes two lines; heads are broken between words."""
    lines = list(table(ROWS, left=2, heads=HEADS, width=60))
    assert max(map(len, lines)) <= 60
    assert lines[0].split() == ["on", "req/s", "TTFT", "p95", "ms"]
    assert lines[1].split() == ["each", "at", "the", "peak"]
    assert any(line.endswith("173 (102-286)") for line in lines)
    assert any(line.split() == ["Standard_NC80adis_H100_v5"] for line in lines)


@given(text=st.text(alphabet="abc -\n", max_size=300), width=st.integers(10, 100))
def test_wrapping_loses_nothing(text: str, width: int) -> None:
    """The words stay, in their order; no line is longer than the width unless a word is."""
    lines = wrapped(text, width)
    assert lines.split() == text.split()
    for line in lines.split("\n"):
        assert len(line) <= width or len(line.split()) == 1
