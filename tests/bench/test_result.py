import io
from typing import Any

from rich.console import Console

from flyball.bench.benchmark import BenchmarkResult
from flyball.bench.table import print_result
from flyball.measurement import RequestRecord, Summary, objective_results
from flyball.spec import SLO, Percentiles


def _record(index: int = 0, **given: Any) -> RequestRecord:
    values: dict[str, Any] = {
        "index": index,
        "intended_s": 0.0,
        "sent_s": 0.001,
        "first_token_s": 0.2,
        "last_token_s": 1.2,
        "end_s": 1.2,
        "chunk_times_s": (0.2, 1.2),
        "output_tokens": 2,
        "requested_output_tokens": 2,
        "outcome": "ok",
    }
    return RequestRecord(**(values | given))


def _result(*records: RequestRecord, slo: SLO | None = None, interrupted: bool = False) -> BenchmarkResult:
    summary = Summary.of(records, slo)
    return BenchmarkResult(
        model="tiny",
        server_version="0.32.0",
        warm_up=(),
        records=records,
        summary=summary,
        objectives=objective_results(summary, slo) if slo else (),
        interrupted=interrupted,
    )


def _printed(result: BenchmarkResult) -> str:
    file = io.StringIO()
    print_result(result, Console(file=file, width=100))
    return file.getvalue()


def test_a_late_client_marks_the_run() -> None:
    """Above 10 ms of lag at p99 the result says so, on the terminal and in JSON; below it does not."""
    late, punctual = _result(_record(sent_s=0.02)), _result(_record())
    assert late.to_dict()["client_late"] is True
    assert "The client was late: it sent 20 ms after the intended arrival at p99" in _printed(late)
    assert punctual.to_dict()["client_late"] is False
    assert "late:" not in _printed(punctual)


def test_failures_are_shown_by_kind() -> None:
    """Errors are counted by what the server said, the most frequent first, and an objective they spoil says failed."""
    slo = SLO(ttft=Percentiles(p95=1.0))
    gone: dict[str, Any] = {
        "outcome": "cut",
        "error": "the connection was closed within the answer",
        "output_tokens": None,
    }
    full: dict[str, Any] = {
        "outcome": "rejected",
        "error": "HTTP 503: full",
        "first_token_s": None,
        "last_token_s": None,
    }
    result = _result(_record(), _record(1, **full), _record(2, **full), _record(3, **gone), slo=slo)
    text = _printed(result)
    assert "4 requests in 1.2 s (1 cut, 1 ok, 2 rejected)" in text
    assert text.index("2 x rejected: HTTP 503: full") < text.index("1 x cut: the connection was closed")
    assert result.objective_missed
    assert not result.all_failed
    assert "│ failed   │ no" in text


def test_missing_usage_is_told() -> None:
    """Where the server counted no tokens, the reader learns why there is no TPOT."""
    assert "The server reported no usage" in _printed(_result(_record(output_tokens=None)))


def test_an_interrupted_run_without_a_request() -> None:
    """A run that ended before its first request has nothing to show and says that it was interrupted."""
    result = _result(interrupted=True)
    text = _printed(result)
    assert "0 requests in 0.0 s (none)" in text
    assert "Interrupted" in text
    assert not result.all_failed


def test_times_are_readable() -> None:
    """Seconds from one second on, milliseconds below, two decimals where they are few."""
    text = _printed(_result(_record(sent_s=0.00123)))
    assert "1.20 s" in text
    assert "200 ms" in text
    assert "1.23 ms" in text
