import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from flyball.measurement import Sample, parse_exposition

VLLM = (Path(__file__).parent / "data" / "vllm-0.32.0-busy.txt").read_text()
_NAMES = st.from_regex(r"[a-z_:][a-z0-9_:]{0,10}", fullmatch=True)


def _flat(samples: list[Sample]) -> list[tuple[str, dict[str, str], str]]:
    return sorted(((sample.name, dict(sample.labels), repr(sample.value)) for sample in samples), key=str)


def _oracle(text: str) -> list[tuple[str, dict[str, str], str]]:
    families = text_string_to_metric_families(text)
    return sorted(
        ((s.name, dict(s.labels), repr(float(s.value))) for family in families for s in family.samples), key=str
    )


def test_real_vllm_metrics_are_read_as_prometheus_own_parser_reads_them() -> None:
    """Every sample of a real vLLM's page: name, labels and value."""
    assert len(parse_exposition(VLLM)) > 100
    assert _flat(parse_exposition(VLLM)) == _oracle(VLLM)


@given(
    st.lists(
        st.tuples(
            st.text(max_size=12),
            st.text(alphabet='\\"n\n{},= #', max_size=12),
            st.floats() | st.just(math.inf) | st.just(math.nan),
        ),
        max_size=8,
        unique_by=lambda row: row[:2],
    )
)
def test_whatever_the_labels_hold_is_read_back(rows: list[tuple[str, str, float]]) -> None:
    """Label values with quotes, backslashes, newlines, braces and commas, and all floats, as the client prints them."""
    registry = CollectorRegistry()
    gauge = Gauge("some:gauge", "help with \\ and \n in it", ["one", "two"], registry=registry)
    for one, two, value in rows:
        gauge.labels(one, two).set(value)
    text = generate_latest(registry).decode()
    assert _flat(parse_exposition(text)) == _oracle(text)
    assert len(parse_exposition(text)) == len(rows)


@given(_NAMES, st.integers(0, 3), st.sampled_from(["", " ", "\t "]), st.sampled_from(["", " 1395066363000"]))
def test_spacing_and_timestamps(name: str, labels: int, space: str, timestamp: str) -> None:
    """Where the format allows blanks, trailing commas and timestamps, they change nothing."""
    pairs = [f'l{index}{space}={space}"v{index}"' for index in range(labels)]
    text = f"{space}{name}{{{','.join(pairs)}{',' if pairs else ''}{space}}} {space}1.5{timestamp}{space}\n"
    (sample,) = parse_exposition(text)
    assert (sample.name, sample.value) == (name, 1.5)
    assert sample.labels == {f"l{index}": f"v{index}" for index in range(labels)}
    assert _flat([sample]) == _oracle(text)


def test_openmetrics_is_tolerated() -> None:
    """Exemplars, units and the end mark of OpenMetrics do not hide the samples."""
    registry = CollectorRegistry()
    Counter("requests", "c", registry=registry).inc(exemplar={"trace_id": "a} b"})
    histogram = Histogram("wait_seconds", "h", unit="seconds", registry=registry)
    histogram.observe(0.3, {"span": "x"})
    text = generate_openmetrics(registry).decode()  # type: ignore[no-untyped-call]
    assert "# EOF" in text
    assert " # {" in text
    ours = {(sample.name, tuple(sample.labels.items())): sample.value for sample in parse_exposition(text)}
    families = read_openmetrics(text)  # type: ignore[no-untyped-call]
    theirs = {(s.name, tuple(s.labels.items())): s.value for family in families for s in family.samples}
    assert ours == theirs


def test_comments_and_nothing() -> None:
    """Comments, blank lines and an empty page hold no samples."""
    assert parse_exposition("") == []
    assert parse_exposition('# HELP x y\n\n# TYPE x gauge\n# x{a="b"} 1\n') == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("<html>", "metrics line 2: not a sample: '<html>'"),
        ("x", "metrics line 2: not a sample: 'x'"),
        ("x one", "metrics line 2: could not convert string to float: 'one': 'x one'"),
        ('x{a="b} 1', "metrics line 2: not a sample: 'x{a=\"b} 1'"),
        ("x{a=b} 1", "metrics line 2: labels are not name=\"value\" pairs: 'x{a=b} 1'"),
    ],
)
def test_a_page_that_is_not_metrics_is_refused(line: str, message: str) -> None:
    """A half page or an error page is an error with its line, not fewer samples."""
    with pytest.raises(ValueError) as caught:
        parse_exposition(f"ok 1\n{line}\n")
    assert str(caught.value) == message
