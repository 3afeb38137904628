import math
from dataclasses import replace

import numpy as np
import pytest

from flyball.local.timeline import EventKind, FleetEvent
from flyball.measurement import Outcome, RequestRecord
from flyball.prove.verdict import Proof
from flyball.report.chart import Line, Points
from flyball.report.proof_charts import WINDOW_S, happenings, proof_charts, window_p95
from synthetic_proof import synthetic_proof


@pytest.fixture(scope="module")
def proof() -> Proof:
    return synthetic_proof()


def _event(t_s: float, kind: EventKind, text: str) -> FleetEvent:
    return FleetEvent(t_s=t_s, kind=kind, text=text)


def _record(intended_s: float, ttft_s: float | None, outcome: Outcome = "ok") -> RequestRecord:
    return RequestRecord(
        index=0, intended_s=intended_s, sent_s=intended_s, end_s=intended_s + 9, requested_output_tokens=9,
        outcome=outcome,
        first_token_s=None if ttft_s is None else intended_s + ttft_s,
    )  # fmt: skip


def test_events_of_one_moment_share_a_number() -> None:
    """A decision and the drains it causes are one thing to the reader; the gravest of them gives the colour."""
    found = happenings(
        [
            _event(9.3, "ready", "r2 ready"), _event(5.0, "killed", "r1 killed"), _event(5.2, "scale", "1 → 2"),
            _event(5.2, "scale", "1 → 2"), _event(1.0, "starting", "r1 starting"),
        ]
    )  # fmt: skip

    assert [(one.number, one.t_s, one.text, one.tone) for one in found] == [
        (1, 5.0, "r1 killed; 1 → 2", "red"), (2, 9.3, "r2 ready", "green")
    ]  # fmt: skip


def test_p95_by_window_counts_failures_as_infinitely_late() -> None:
    """One failed request of twenty reaches the p95; of a hundred it does not, and the p95 is numpy's of the others."""
    ttfts = [0.01 * rank for rank in range(100)]
    twenty = [*(_record(index * 0.1, ttft) for index, ttft in enumerate(ttfts[:19])), _record(3, None, "rejected")]
    hundred = [_record(WINDOW_S + index * 0.1, ttft) for index, ttft in enumerate(ttfts)]
    points = dict(window_p95([*twenty, *hundred]))

    assert points[0] == math.inf
    assert points[WINDOW_S] == pytest.approx(float(np.percentile(ttfts, 95)))


def test_a_p95_of_few_requests_is_not_drawn() -> None:
    """Windows with too few requests, or none, are gaps; the last ends where it ends."""
    records = [*(_record(index, 1.0) for index in range(5)), _record(50, 1.0)]

    assert window_p95(records) == [
        (0, 1.0),
        (WINDOW_S, None),
        (2 * WINDOW_S, None),
        (3 * WINDOW_S, None),
        (4 * WINDOW_S, None),
    ]
    assert window_p95([_record(1, None, "cancelled")]) == []


def test_every_request_has_a_point_of_its_outcomes_shape(proof: Proof) -> None:
    """All records of all loads are in the chart, and no two outcomes share a shape."""
    clouds = [series for series in proof_charts(proof)[2].series if isinstance(series, Points)]
    outcomes = [record.outcome for load in proof.loads for record in load.records]

    assert {cloud.label: len(cloud.points) for cloud in clouds} == {
        "answered": outcomes.count("ok"), "cut": outcomes.count("cut")
    }  # fmt: skip
    assert len({cloud.shape for cloud in clouds}) == len(clouds) == 2


def test_the_axes_hold_what_is_drawn(proof: Proof) -> None:
    """Nothing finite is clipped: every point of every chart lies on its axes."""
    for chart in proof_charts(proof):
        for series in chart.series:
            drawn = [(point[0], point[1]) for point in series.points]
            assert all(chart.y.holds(y) for _, y in drawn if y is not None and math.isfinite(y)), chart.title
            assert all(chart.x.holds(x) for x, y in drawn if y is not None), chart.title


def test_the_aim_follows_the_ready_replicas(proof: Proof) -> None:
    """Its height is the target times what is ready; a signal that counts no requests has no such line."""
    lines = [series for series in proof_charts(proof)[1].series if isinstance(series, Line)]
    kv = proof.spec.model_copy(update={"scaling": proof.spec.scaling.model_copy(update={"signal": "kv"})})

    assert [y for _, y in lines[2].points] == [3.0 * sample.ready for sample in proof.timeline.samples]
    assert len(proof_charts(replace(proof, spec=kv))[1].series) == 2


def test_tokens_are_those_that_were_generated(proof: Proof) -> None:
    """The area below the curve is the number of tokens of the run, within what smoothing and a lost counter cost."""
    line = proof_charts(proof)[3].series[0]
    assert isinstance(line, Line)
    area = sum(y or 0.0 for _, y in line.points)  # a sample a second
    tokens = sum(len(record.chunk_times_s) for load in proof.loads for record in load.records)

    assert area == pytest.approx(tokens, rel=0.03)


def test_only_the_first_chart_names_and_only_the_last_explains(proof: Proof) -> None:
    """Phases and events are named once, above the stack; the axis once, below it."""
    charts = proof_charts(proof)

    assert [chart.names for chart in charts] == [True, False, False, False]
    assert [bool(chart.x.label) for chart in charts] == [False, False, False, True]
    assert all(len(chart.bands) == len(proof.phases) for chart in charts)
