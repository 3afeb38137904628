"""One sync, from observation to decision."""

from dataclasses import replace

import pytest

from flyball.scaling import (
    Decision,
    ExternalMetric,
    ExternalSamples,
    LimitedBy,
    MetricFailure,
    MetricTarget,
    Observation,
    PodPhase,
    PodSamples,
    PodsMetric,
    PodStatus,
    Reading,
    Recommendation,
    ScalingBehavior,
    ScalingPolicy,
    ScalingState,
    record_scale,
    step,
)

LOAD = PodsMetric("load", MetricTarget("AverageValue", 10_000))
QUEUE = ExternalMetric("queue", MetricTarget("AverageValue", 10_000))
POLICY = ScalingPolicy(max_replicas=20, metrics=(LOAD,))


def pods(count: int, phase: PodPhase = "Running", *, first: int = 0) -> tuple[PodStatus, ...]:
    return tuple(PodStatus(name=f"p{first + i}", phase=phase, ready=phase == "Running") for i in range(count))


def samples(*values: float) -> PodSamples:
    return PodSamples({f"p{i}": round(value * 1000) for i, value in enumerate(values)})


def seen(current: int, *readings: Reading, running: tuple[PodStatus, ...] | None = None) -> Observation:
    return Observation(
        spec_replicas=current,
        status_replicas=current,
        pods=pods(current) if running is None else running,
        readings=readings,
    )


def decided(policy: ScalingPolicy, observation: Observation) -> Decision:
    return step(policy, ScalingState(), observation, 0.0)[0]


@pytest.mark.parametrize(
    ("running", "pending", "waiting", "proposal"),
    [
        (4, 0, (0, 0, 0, 0), 0),
        (1, 0, (40,), 4),
        (4, 0, (40,), 4),
        (4, 0, (80,), 8),
        (1, 3, (80,), 8),
        (4, 0, (8,), 4),
        (4, 0, (0,), 3),
        (1, 3, (0,), 0),
        (2, 0, (11, 11), 2),
        (2, 0, (12, 11), 3),
        (3, 0, (30, 30, 0), 6),
        (1, 0, (), None),
    ],
)
def test_vectors_of_waiting_requests(
    running: int, pending: int, waiting: tuple[float, ...], proposal: int | None
) -> None:
    """A vLLM fleet scaled on the queue, target 10: full replicas without a queue are proposed away (first row)."""
    status = (*pods(running), *pods(pending, "Pending", first=running))
    decision = decided(POLICY, seen(running + pending, samples(*waiting), running=status))
    assert decision.proposal == proposal
    if proposal is None:
        assert decision.desired == running


def test_a_new_hpa_does_not_shrink_below_what_it_found() -> None:
    """Its first recommendation is the current replicas, and the scale-down window holds them."""
    decision, state = step(POLICY, ScalingState(), seen(4, samples(0, 0, 0, 0)), 100.0)
    assert (decision.proposal, decision.desired, decision.limited_by) == (0, 4, LimitedBy.SCALE_DOWN_WINDOW)
    assert state.recommendations == (Recommendation(4, 100.0), Recommendation(0, 100.0))
    later, _ = step(POLICY, state, seen(4, samples(0, 0, 0, 0)), 400.5)
    assert (later.desired, later.limited_by) == (1, LimitedBy.MIN_REPLICAS)


@pytest.mark.parametrize(
    ("current", "desired", "rule"),
    [(30, 20, LimitedBy.ABOVE_MAX), (2, 3, LimitedBy.BELOW_MIN), (0, 0, LimitedBy.ZERO_REPLICAS)],
)
def test_bounds_are_corrected_without_a_metric(current: int, desired: int, rule: LimitedBy) -> None:
    """At once, past windows and rate policies; and a target at 0 is left alone."""
    policy = replace(POLICY, min_replicas=3, behavior=ScalingBehavior())
    decision = decided(policy, Observation(spec_replicas=current, status_replicas=current, pods=(), readings=()))
    assert (decision.desired, decision.proposal, decision.limited_by) == (desired, None, rule)
    assert str(desired) in decision.reason


BROKEN = MetricFailure("HTTP 503")


@pytest.mark.parametrize(
    ("current", "levels", "expected", "rule"),
    [
        (3, (13, 13, 14), 4, LimitedBy.NONE),  # TestScaleUpOneMetricInvalid
        (5, (1, 3, 5, 2.5, 2.5), 5, LimitedBy.PARTIAL_METRICS),  # TestNoScaleDownOneMetricInvalid
        (5, (10, 10, 10, 10, 10), 5, LimitedBy.TOLERANCE),
    ],
)
@pytest.mark.parametrize("broken_first", [True, False])
def test_one_metric_invalid(
    *, current: int, levels: tuple[float, ...], expected: int, rule: LimitedBy, broken_first: bool
) -> None:
    """With one of two metrics unreadable the other may scale up, and nothing scales down."""
    behavior = ScalingBehavior(scale_down=replace(ScalingBehavior().scale_down, stabilization_window_s=0))
    policy = replace(POLICY, behavior=behavior, metrics=(QUEUE, LOAD) if broken_first else (LOAD, QUEUE))
    readings = (BROKEN, samples(*levels)) if broken_first else (samples(*levels), BROKEN)
    decision = decided(policy, seen(current, *readings))
    assert (decision.desired, decision.limited_by) == (expected, rule)
    assert "queue: HTTP 503" in decision.reason


def test_an_outage_leaves_no_trace_in_the_history() -> None:
    """A sync without a proposal enters no recommendation, so the windows run on."""
    state = ScalingState(recommendations=(Recommendation(4, 0.0),))
    decision, after = step(POLICY, state, seen(4, BROKEN), 10.0)
    assert (decision.desired, decision.limited_by) == (4, LimitedBy.NO_METRIC)
    assert after == state


@pytest.mark.parametrize(
    ("queue", "metric", "desired"), [(90_000, "queue", 8), (40_000, "load", 6), (60_000, "load", 6)]
)
def test_of_several_metrics_the_highest_wins(queue: int, metric: str, desired: int) -> None:
    """Of equal proposals the first named."""
    policy = replace(POLICY, metrics=(LOAD, QUEUE))
    decision = decided(policy, seen(4, samples(15, 15, 15, 15), ExternalSamples((queue,))))
    assert (decision.metric, decision.desired) == (metric, desired)
    assert [proposal.replicas for proposal in decision.proposals] == [6, queue // 10_000]


def test_readings_are_aligned_with_metrics() -> None:
    """One too few is a mistake of the caller."""
    with pytest.raises(ValueError, match="shorter"):
        decided(replace(POLICY, metrics=(LOAD, QUEUE)), seen(1, samples(1)))


def test_the_state_remembers_a_write_only_when_told() -> None:
    """`step` cannot know when a write completes, or whether."""
    policy = replace(POLICY, behavior=ScalingBehavior())
    decision, state = step(policy, ScalingState(), seen(1, samples(90)), 0.0)
    assert decision.desired == 5
    assert state.scale_ups == ()
    held, _ = step(policy, record_scale(policy, state, 1, 5, 0.25), seen(5, *[samples(90, 90, 90, 90, 90)]), 15.0)
    assert (held.desired, held.limited_by) == (5, LimitedBy.SCALE_UP_POLICY)
    free, _ = step(policy, record_scale(policy, state, 1, 5, 0.25), seen(5, *[samples(90, 90, 90, 90, 90)]), 15.25)
    assert free.desired == 10


def test_the_reason_is_one_sentence_with_numbers() -> None:
    """Measurement, proposal and the rules that changed it, in order."""
    policy = replace(POLICY, behavior=ScalingBehavior())
    decision = decided(policy, seen(3, samples(27, 27, 27)))
    assert decision.desired == 7
    assert decision.reason == "3 pods at 27 against a target of 10 propose 9; scaleUp policy Pods 4 per 15 s allows 7"


def test_a_negative_total_proposes_the_minimum() -> None:
    """The controller logs the negative proposal and goes on with 0."""
    policy = replace(POLICY, metrics=(QUEUE,))
    decision, state = step(policy, ScalingState(), seen(1, ExternalSamples((-50_000,))), 0.0)
    assert (decision.proposal, decision.desired) == (-5, 1)
    assert state.recommendations[-1] == Recommendation(0, 0.0)
