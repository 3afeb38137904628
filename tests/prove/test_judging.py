from collections.abc import Mapping

import pytest

from flyball.local.timeline import FleetEvent, FleetSample, ReplicaSample, Sync, Timeline
from flyball.measurement import Outcome, RequestRecord
from flyball.prove import judging
from flyball.prove.holding import HoldSearch
from flyball.prove.verdict import LoadRun, PhaseName
from flyball.scaling import Decision, LimitedBy
from flyball.spec import SLO, Percentiles

SLO_1S = SLO(ttft=Percentiles(p95=1.0))


def _record(
    index: int, at_s: float, *, ttft_s: float | None = 0.2, end_s: float | None = None, outcome: Outcome = "ok"
) -> RequestRecord:
    first = None if ttft_s is None else at_s + ttft_s
    last = end_s if end_s is not None else (first or at_s) + 1
    return RequestRecord(
        index=index,
        intended_s=at_s,
        sent_s=at_s,
        first_token_s=first,
        last_token_s=None if first is None else last,
        end_s=last,
        output_tokens=10 if outcome == "ok" else None,
        requested_output_tokens=10,
        outcome=outcome,
    )


def _load(*records: RequestRecord, phase: PhaseName = "step", rate: float = 2.0) -> LoadRun:
    return LoadRun(name="load", phase=phase, rate=rate, concurrency=None, start_s=0, end_s=60, records=records)


def _sample(t_s: float, desired: int, ready: int, *, running: float = 1, waiting: float = 0) -> FleetSample:
    replicas = tuple(
        ReplicaSample(name=f"r{number}", state="ready", running=running, waiting=waiting)
        for number in range(1, ready + 1)
    )
    return FleetSample(t_s=t_s, desired=desired, replicas=replicas)


def _sync(t_s: float, current: int, desired: int) -> Sync:
    decision = Decision(
        current=current, desired=desired, proposal=desired, metric="m", limited_by=LimitedBy.NONE, reason=""
    )
    return Sync(t_s=t_s, decision=decision, signal=1.0)


@pytest.mark.parametrize(("answer", "passed"), [("It is Paris.", True), ("It is Rome.", False), ("", False)])
def test_an_answer_must_be_right(answer: str, passed: bool) -> None:
    """Fluent text is not enough."""
    assert judging.judge_answer("Capital?", answer, "Paris", 5, 0.5).passed is passed


def test_baseline_fails_on_a_missed_objective_or_a_failed_request() -> None:
    """Both the objective and every single request count."""
    good = [_record(index, index) for index in range(20)]

    assert judging.judge_baseline(_load(*good), SLO_1S, 1).passed
    assert not judging.judge_baseline(
        _load(*good[:10], *(_record(i, i, ttft_s=2) for i in range(10))), SLO_1S, 1
    ).passed
    assert not judging.judge_baseline(_load(*good, _record(20, 20, ttft_s=None, outcome="error")), SLO_1S, 1).passed


@pytest.mark.parametrize(
    ("rate", "waiting", "passed"),
    [(2.0, 5, True), (2.0, 0, False), (0.9, 5, False)],
)
def test_a_step_must_exceed_one_replica_and_queue(rate: float, waiting: float, passed: bool) -> None:
    """A rate above the measured capacity, and a queue that shows it."""
    timeline = Timeline(samples=[_sample(5, 1, 1, running=4, waiting=waiting)])
    criterion = judging.judge_step(_load(_record(0, 1), rate=rate), 1.0, timeline, SLO_1S, until_s=10, max_num_seqs=4)

    assert criterion.passed is passed


def _crossed(*running: float, decided: int) -> float | None:
    """With a sample a second from 1 on; from sample `decided` on two replicas are asked for."""
    samples = [_sample(t, 2 if t >= decided else 1, 1, running=value) for t, value in enumerate(running, start=1)]
    return judging.crossed_s(Timeline(samples=samples), "in_system", 3.0, 0.1, start_s=0)


def test_the_crossing_respects_the_tolerance() -> None:
    """Within the tolerance nothing is crossed, whatever follows the decision."""
    assert _crossed(3.3, 4, 4, 9, decided=4) == 2
    assert _crossed(3.3, 3.3, 3.3, decided=9) is None


def test_the_crossing_that_counts_is_the_one_that_lasted() -> None:
    """A peak that was gone by the next sample asks for nothing; a signal that stays up unanswered goes on counting."""
    assert _crossed(4, 1, 4, 5, 6, decided=5) == 3
    assert _crossed(1, 4, 5, 6, 7, decided=9) == 2


def _scale_out(decided_s: float, ready: int = 3) -> Mapping[str, object]:
    timeline = Timeline(
        samples=[_sample(12, 1, 1), _sample(60, 3, ready)],
        syncs=[_sync(decided_s, 1, 2), _sync(decided_s + 5, 2, 3)],
    )
    criterion = judging.judge_scale_out(timeline, crossed=12, start_s=10, expected=3, initial=1, sync_period_s=5)
    return {"passed": criterion.passed, **criterion.numbers}


def test_scale_out_reads_both_clocks() -> None:
    """When the law first wanted more, when it wanted N, and when N were ready."""
    found = _scale_out(15)

    assert found["passed"]
    assert (found["decided_s"], found["desired_s"], found["ready_s"]) == (15, 20, 60)


def test_a_late_or_incomplete_scale_out_fails() -> None:
    """More than two sync periods after the crossing is late; two ready of three is not three."""
    assert not _scale_out(12 + 10.1)["passed"]
    assert not _scale_out(15, ready=2)["passed"]


def test_the_window_waits_for_requests_under_way() -> None:
    """A window with an unfinished request proves nothing yet, however good the others are."""
    intended = [float(second) for second in range(20)]
    records = {index: _record(index, at_s) for index, at_s in enumerate(intended)}
    del records[7]

    search = HoldSearch(intended, SLO_1S, hold_s=10, start_s=0)

    assert not search.found_in(records)
    records[7] = _record(7, 7)
    assert search.found_in(records)
    assert search.found is not None
    assert search.found[0] == 0


def test_the_window_slides_past_the_backlog() -> None:
    """Slow requests at the beginning move the window, by whole arrivals, until it holds."""
    intended = [float(second) for second in range(40)]
    records = {index: _record(index, at_s, ttft_s=5 if index < 6 else 0.2) for index, at_s in enumerate(intended)}

    search = HoldSearch(intended, SLO_1S, hold_s=20, start_s=0.5)

    assert search.found_in(records)
    assert search.found is not None
    # With one slow request among twenty the 95th percentile is 0.2 + 0.05 * 4.8 s, with two it is 5 s.
    assert search.found[0] == 5


def _scale_back(*, broken: bool = False, running: float = 1, back: bool = True) -> bool | None:
    timeline = Timeline(
        samples=[_sample(30, 3, 3, running=running), *([_sample(50, 1, 1)] if back else [])],
        events=[FleetEvent(t_s=29.5, kind="drain", text="", replica="r3")],
    )
    records = [_record(0, 20), _record(1, 25, outcome="cut" if broken else "ok")]
    streams = _load(*records, phase="scale back")
    return judging.judge_scale_back(timeline, streams, [], stopped_s=10, minimum=1).passed


def test_scale_back_needs_streams_that_survive_a_drain() -> None:
    """Back at the minimum, nothing broken, and something that could have broken."""
    assert _scale_back()
    assert not _scale_back(broken=True)
    assert not _scale_back(running=0)
    assert not _scale_back(back=False)


def _kill(*records: RequestRecord, retries: int = 1, healed_s: float | None = 50) -> bool | None:
    return judging.judge_kill(records, killed_s=10, healed_s=healed_s, retries=retries, name="r1").passed


def test_a_kill_may_cut_streams_but_lose_nothing_unanswered() -> None:
    """What had a first byte may break, at once; what had none must be answered."""
    streaming_cut = _record(0, 8, ttft_s=1, end_s=10.1, outcome="cut")
    waiting_ok = _record(1, 9, ttft_s=8)

    assert _kill(streaming_cut, waiting_ok)
    assert not _kill(streaming_cut, _record(1, 9, ttft_s=None, end_s=10.1, outcome="error"))
    assert not _kill(_record(0, 8, ttft_s=1, end_s=40, outcome="cut"), waiting_ok)
    assert not _kill(streaming_cut, waiting_ok, _record(2, 12, ttft_s=None, outcome="error"))


def test_a_kill_must_heal_and_retry() -> None:
    """Without a retry the retrying was not put to the test, and an unhealed fleet has failed."""
    assert not _kill(_record(1, 9, ttft_s=8), retries=0)
    assert not _kill(_record(1, 9, ttft_s=8), healed_s=None)


def test_leftovers_are_named() -> None:
    """A process that is left fails the proof and is named."""
    criterion = judging.judge_nothing_left(["vllm (12)"], 3)

    assert not criterion.passed
    assert "vllm (12)" in criterion.finding
    assert judging.judge_nothing_left([], 3).passed
