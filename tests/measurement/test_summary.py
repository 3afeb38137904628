import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.measurement import Outcome, RequestRecord, Summary
from flyball.spec import SLO, Percentiles


def _record(index: int = 0, *, at: float = 0.0, outcome: Outcome = "ok", **given: Any) -> RequestRecord:
    """A request that waits 0.1 s for the first of five tokens, which come 0.05 s apart."""
    times = tuple(round(at + 0.1 + 0.05 * step, 6) for step in range(5))
    values: dict[str, Any] = {
        "index": index,
        "intended_s": at,
        "sent_s": at + 0.001,
        "first_token_s": times[0],
        "last_token_s": times[-1],
        "end_s": times[-1],
        "chunk_times_s": times,
        "prompt_tokens": 40,
        "output_tokens": 5,
        "requested_output_tokens": 5,
        "outcome": outcome,
    }
    return RequestRecord(**(values | given))


def _failed(index: int, *, at: float, outcome: Outcome = "error") -> RequestRecord:
    return _record(
        index,
        at=at,
        outcome=outcome,
        first_token_s=None,
        last_token_s=None,
        chunk_times_s=(),
        output_tokens=None,
        prompt_tokens=None,
        end_s=at + 0.01,
    )


def test_a_known_run() -> None:
    """Ten requests a second for a second: every number follows from the definitions."""
    summary = Summary.of([_record(index, at=index / 10) for index in range(10)])
    assert summary.count == 10
    assert summary.outcomes == {"ok": 10}
    assert summary.duration_s == pytest.approx(0.9 + 0.3)
    assert summary.requests_per_s == pytest.approx(10 / 1.2)
    assert summary.output_tokens_per_s == pytest.approx(50 / 1.2)
    assert (summary.prompt_tokens, summary.output_tokens) == (400, 50)
    assert summary.ttft.p50_s == pytest.approx(0.1)
    assert summary.tpot.p95_s == pytest.approx(0.05)
    assert summary.itl.count == 40
    assert summary.itl.p99_s == pytest.approx(0.05)
    assert summary.e2e.mean_s == pytest.approx(0.3)
    assert summary.ttft_from_send.p50_s == pytest.approx(0.099)
    assert summary.schedule_lag.max_s == pytest.approx(0.001)
    assert summary.goodput_per_s is None
    assert summary.attainment is None


def test_itl_pools_gaps_and_tpot_averages_requests() -> None:
    """One long answer of slow chunks outweighs nine short ones in ITL and counts as one in TPOT."""
    slow = tuple(0.1 + 0.5 * step for step in range(100))
    long = _record(
        9, first_token_s=slow[0], last_token_s=slow[-1], end_s=slow[-1], chunk_times_s=slow, output_tokens=100
    )
    summary = Summary.of([*(_record(index) for index in range(9)), long])
    assert summary.itl.p50_s == pytest.approx(0.5)
    assert summary.tpot.p50_s == pytest.approx(0.05)


def test_latencies_are_of_answers_and_failures_are_counted() -> None:
    """Failures are in the counts and in no latency, though one had a first token."""
    cut = _record(
        1, outcome="cut", first_token_s=9.0, last_token_s=9.0, end_s=9.0, output_tokens=None, chunk_times_s=(9.0,)
    )
    summary = Summary.of(
        [_record(), cut, _failed(2, at=0.0, outcome="rejected"), _failed(3, at=0.0, outcome="cancelled")]
    )
    assert summary.outcomes == {"ok": 1, "cut": 1, "rejected": 1, "cancelled": 1}
    assert summary.failures == 2
    assert summary.ttft.count == summary.e2e.count == 1
    assert summary.output_tokens == 5


def test_goodput_counts_requests_that_meet_every_bound() -> None:
    """One is too late with its first token, one too slow, one failed: two of five are good."""
    slo = SLO(ttft=Percentiles(p95=0.2), tpot=Percentiles(p95=0.06))
    late = _record(2, first_token_s=0.25, last_token_s=0.3)
    slow = _record(3, last_token_s=1.0, end_s=1.0)
    summary = Summary.of([_record(0), _record(1), late, slow, _failed(4, at=0.0)], slo)
    assert summary.attainment == pytest.approx(2 / 5)
    assert summary.goodput_per_s == pytest.approx(2 / summary.duration_s)


def test_one_token_answers_are_judged_without_tpot() -> None:
    """An answer of one token has no TPOT and can be good; one whose token count is unknown cannot."""
    slo = SLO(ttft=Percentiles(p95=0.2), tpot=Percentiles(p95=0.06))
    single = _record(0, output_tokens=1, last_token_s=0.1, chunk_times_s=(0.1,))
    uncounted = _record(1, output_tokens=None)
    assert Summary.of([single], slo).attainment == 1.0
    assert Summary.of([uncounted], slo).attainment == 0.0


def test_cancelled_requests_are_judged_only_by_what_they_had_missed() -> None:
    """Stopping the load neither excuses a request that was already late nor blames one that was not."""
    slo = SLO(ttft=Percentiles(p95=0.2))
    waiting_long = _failed(1, at=0.0, outcome="cancelled")
    waiting_long = RequestRecord(**{**_fields(waiting_long), "end_s": 0.5})
    just_sent = _failed(2, at=0.49, outcome="cancelled")
    assert Summary.of([_record(), just_sent], slo).attainment == 1.0
    assert Summary.of([_record(), waiting_long], slo).attainment == 0.5
    assert Summary.of([just_sent], slo).attainment is None


def test_a_window_counts_arrivals_by_time_and_work_as_it_happens() -> None:
    """Latencies are those of the window's arrivals; completions and tokens are those that fell into it."""
    early, inside, late = _record(0, at=0.85), _record(1, at=1.2), _record(2, at=1.85)
    summary = Summary.of([early, inside, late], SLO(ttft=Percentiles(p95=0.2)), window=(1.0, 2.0))
    assert summary.outcomes == {"ok": 2}
    assert summary.duration_s == 1.0
    assert summary.requests_per_s == 2.0  # early and inside end in the window
    # early: tokens at 1.0, 1.05, 1.1, 1.15; inside: all five; late: 1.95 and 2.0
    assert summary.output_tokens_per_s == pytest.approx(4 + 5 + 2)
    assert summary.goodput_per_s == 2.0


def test_no_requests() -> None:
    """A run without requests has no rates, no latencies and no division by nothing."""
    summary = Summary.of([], SLO(ttft=Percentiles(p95=0.2)))
    assert summary.count == 0
    assert summary.requests_per_s == summary.output_tokens_per_s == summary.goodput_per_s == 0.0
    assert summary.attainment is None


def test_the_json_form_is_json() -> None:
    """The summary's mapping holds plain numbers in seconds and no raw samples."""
    values = json.loads(json.dumps(Summary.of([_record()], SLO(ttft=Percentiles(p95=0.2))).to_dict(), allow_nan=False))
    assert values["ttft"] == {
        "count": 1,
        "mean_s": 0.1,
        "p50_s": 0.1,
        "p90_s": 0.1,
        "p95_s": 0.1,
        "p99_s": 0.1,
        "max_s": 0.1,
    }
    assert values["requests"] == 1
    assert "samples" not in values


@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.floats(0, 5), st.floats(0, 5), st.integers(1, 50), st.integers(1, 50)),
        min_size=1,
        max_size=30,
    ),
    st.floats(0.1, 104.9),
)
def test_windows_that_meet_share_out_all_tokens(
    rows: list[tuple[float, float, float, int, int]], border: float
) -> None:
    """Every token falls into one of two windows that cover the run, and every arrival into exactly one."""
    records = []
    for index, (at, wait, length, chunks, tokens) in enumerate(rows):
        times = tuple(at + wait + length * step / chunks for step in range(chunks))
        records.append(
            _record(
                index,
                at=at,
                first_token_s=times[0],
                last_token_s=times[-1],
                end_s=times[-1],
                chunk_times_s=times,
                output_tokens=tokens,
            )
        )
    before, after = Summary.of(records, window=(0.0, border)), Summary.of(records, window=(border, 120.0))
    assert before.count + after.count == len(records)
    shared_out = before.output_tokens_per_s * border + after.output_tokens_per_s * (120.0 - border)
    # A token exactly on the border is in both.
    on_border = sum(record.output_tokens or 0 for record in records if border in record.chunk_times_s)
    total = sum(tokens for *_, tokens in rows)
    assert total - 1e-6 <= shared_out <= total + on_border + 1e-6


def _fields(record: RequestRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in RequestRecord.__dataclass_fields__}
