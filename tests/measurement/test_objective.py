import math
from typing import Any

from flyball.measurement import Outcome, RequestRecord, Summary, objective_results
from flyball.spec import SLO, Percentiles


def _record(
    ttft: float | None, *, outcome: Outcome = "ok", tokens: int | None = 11, end: float = 100.0
) -> RequestRecord:
    """A request at 0 whose tokens after the first come 0.01 s apart."""
    times: dict[str, Any] = {"first_token_s": ttft, "last_token_s": None if ttft is None else ttft + 0.1}
    return RequestRecord(
        index=0,
        intended_s=0.0,
        sent_s=0.0,
        end_s=end,
        output_tokens=tokens,
        requested_output_tokens=11,
        outcome=outcome,
        **times,
    )


def test_each_percentile_of_each_metric_is_an_objective() -> None:
    """The results are in the order of the SLO, with what was measured and whether it holds."""
    slo = SLO(ttft=Percentiles(p50=0.2, p99=0.5), tpot=Percentiles(p95=0.009), e2e=Percentiles(p95=10.0))
    records = [_record(0.1 + 0.001 * step) for step in range(101)]
    results = objective_results(Summary.of(records), slo)
    assert [(result.metric, result.percentile, result.holds) for result in results] == [
        ("ttft", 50, True),
        ("ttft", 99, True),
        ("tpot", 95, False),
        ("e2e", 95, True),
    ]
    assert [round(result.measured_s or 0, 6) for result in results] == [0.15, 0.199, 0.01, 0.295]
    assert {result.count for result in results} == {101}


def test_the_bound_itself_holds() -> None:
    """An objective is an upper bound that may be reached."""
    (result,) = objective_results(Summary.of([_record(0.25)]), SLO(ttft=Percentiles(p95=0.25)))
    assert result.holds


def test_failures_are_infinitely_late() -> None:
    """Six failures in a hundred reach down to the 95th percentile, four do not: failing slow requests gains nothing."""
    slo = SLO(ttft=Percentiles(p95=1.0))
    for failures, holds in ((4, True), (6, False)):
        records = [_record(0.1)] * (100 - failures) + [_record(None, outcome="rejected")] * failures
        (result,) = objective_results(Summary.of(records), slo)
        assert result.holds is holds
        assert math.isinf(result.measured_s or 0.0) is not holds
        assert result.to_dict()["measured_s"] == (0.1 if holds else None)


def test_a_failure_counts_though_its_first_token_was_early() -> None:
    """A stream that broke off is not an answer, however soon it began."""
    (result,) = objective_results(Summary.of([_record(0.1, outcome="cut")]), SLO(ttft=Percentiles(p95=1.0)))
    assert not result.holds


def test_without_data_nothing_holds() -> None:
    """No requests, or none that could be judged, prove nothing."""
    slo = SLO(ttft=Percentiles(p95=1.0), tpot=Percentiles(p95=1.0))
    for records in ([], [_record(None, outcome="cancelled", end=0.5)]):
        results = objective_results(Summary.of(records), slo)
        assert [(result.measured_s, result.count, result.holds) for result in results] == [(None, 0, False)] * 2


def test_cancelled_requests_count_once_they_are_late() -> None:
    """A request that had waited past the bound when the load was stopped is late for good."""
    slo = SLO(ttft=Percentiles(p50=1.0))
    records = [_record(0.1), _record(None, outcome="cancelled", end=2.0), _record(None, outcome="cancelled", end=0.2)]
    (result,) = objective_results(Summary.of(records), slo)
    assert result.count == 2
    assert not result.holds


def test_answers_of_one_token_are_left_out_of_tpot() -> None:
    """They are neither fast nor slow; an answer whose tokens were not counted misses the objective."""
    slo = SLO(tpot=Percentiles(p95=0.02))
    (result,) = objective_results(Summary.of([_record(0.1), _record(0.1, tokens=1)]), slo)
    assert (result.count, result.holds) == (1, True)
    (result,) = objective_results(Summary.of([_record(0.1), _record(0.1, tokens=None)]), slo)
    assert (result.count, result.holds) == (2, False)
