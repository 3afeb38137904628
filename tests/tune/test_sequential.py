"""The sequential test: its errors against binomial truth, its order, its patience."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.measurement import RequestRecord
from flyball.measurement.record import Outcome
from flyball.spec import SLO, Percentiles
from flyball.tune.sequential import ERROR_RATE, Hypotheses, ObjectiveTest, SequentialTest

TTFT = SLO(ttft=Percentiles(p95=0.2))


def _record(index: int, ttft_s: float, *, every_s: float = 0.1, outcome: Outcome = "ok") -> RequestRecord:
    at = index * every_s
    return RequestRecord(
        index=index, intended_s=at, sent_s=at, first_token_s=at + ttft_s, last_token_s=at + ttft_s,
        end_s=at + ttft_s, output_tokens=1, requested_output_tokens=1, outcome=outcome,
    )  # fmt: skip


def _decided(share: float, hypotheses: Hypotheses, rng: np.random.Generator) -> tuple[str, int]:
    test = SequentialTest(hypotheses=hypotheses)
    while test.verdict is None:
        test.add(bool(rng.random() < share))
    return test.verdict, test.count


@pytest.mark.parametrize("percentile", [50, 90, 95, 99])
def test_errors_are_as_rare_as_promised(percentile: int) -> None:
    """Requests that are good with the share of either hypothesis are judged wrongly in at most 5 of 100 loads."""
    hypotheses, rng = Hypotheses.around(percentile), np.random.default_rng(percentile)
    runs = 800
    slack = 3 * (ERROR_RATE * (1 - ERROR_RATE) / runs) ** 0.5
    held = sum(_decided(hypotheses.good, hypotheses, rng)[0] == "held" for _ in range(runs))
    missed = sum(_decided(hypotheses.bad, hypotheses, rng)[0] == "missed" for _ in range(runs))
    assert held / runs >= 1 - ERROR_RATE - slack
    assert missed / runs >= 1 - ERROR_RATE - slack


def test_it_takes_fewer_requests_than_a_fixed_sample() -> None:
    """For the same two errors at p95 a fixed sample needs about 180 requests; clear cases need a fraction."""
    hypotheses, rng = Hypotheses.around(95), np.random.default_rng(1)
    good = np.mean([_decided(1.0, hypotheses, rng)[1] for _ in range(20)])
    bad = np.mean([_decided(0.5, hypotheses, rng)[1] for _ in range(200)])
    assert good < 45
    assert bad < 12


@given(st.permutations(range(30)), st.lists(st.booleans(), min_size=30, max_size=30))
def test_the_order_of_ends_does_not_matter(order: list[int], good: list[bool]) -> None:
    """Requests count in the order of their arrival, whichever ends first."""
    records = [_record(index, 0.1 if is_good else 0.3) for index, is_good in enumerate(good)]
    straight, shuffled = (ObjectiveTest(slo=TTFT, settled_s=0.0, most=30) for _ in range(2))
    for record in records:
        straight.add(record)
    for index in order:
        shuffled.add(records[index])
    assert straight.verdict == shuffled.verdict
    assert straight.judged == shuffled.judged


def test_what_finds_an_empty_engine_counts_for_nothing() -> None:
    """Requests due before the engine is settled are left out, and so are those that the client cancelled."""
    test = ObjectiveTest(slo=TTFT, settled_s=1.0, most=100)
    for index in range(10):
        test.add(_record(index, 5.0))
    test.add(_record(10, 5.0, outcome="cancelled"))
    assert (test.judged, test.verdict) == (0, None)
    test.add(_record(11, 0.1))
    assert test.judged == 1


def test_failures_are_misses() -> None:
    """An objective does not hold because slow requests were refused."""
    test = ObjectiveTest(slo=TTFT, settled_s=0.0, most=1000)
    for index in range(20):
        test.add(_record(index, 0.1, outcome="rejected"))
    assert test.verdict == "missed"


def test_a_queue_gets_the_time_to_grow() -> None:
    """Good answers alone do not decide before arrivals were watched for longer than requests stay."""
    short, long = (ObjectiveTest(slo=TTFT, settled_s=2.0, most=1000) for _ in range(2))
    for index in range(200):
        short.add(_record(index, 0.1, every_s=0.02))  # 4 s of arrivals, 2 of them settled
        long.add(_record(index, 0.1, every_s=0.05))
    assert short.verdict is None
    assert long.verdict == "held"


def test_a_burst_of_misses_is_no_verdict_yet() -> None:
    """Requests that queue behind each other are late together; only overwhelming evidence ends a load at once."""
    test = ObjectiveTest(slo=TTFT, settled_s=2.0, most=1000)
    for index in range(200, 205):
        test._next = index  # the first 200 were before
        test.add(_record(index, 0.3, every_s=0.0101))
    assert test.verdict is None
    for index in range(205, 220):
        test.add(_record(index, 0.3, every_s=0.0101))
    assert test.verdict == "missed"


def test_every_objective_must_hold() -> None:
    """One percentile that is missed is enough."""
    slo = SLO(ttft=Percentiles(p50=0.05, p95=0.2))
    test = ObjectiveTest(slo=slo, settled_s=0.0, most=1000)
    for index in range(60):
        test.add(_record(index, 0.1))
    assert test.verdict == "missed"
