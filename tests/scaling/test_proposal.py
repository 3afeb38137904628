"""What one metric asks for. The tables named after upstream tests are those of replica_calculator_test.go."""

import pytest

from flyball.scaling import (
    ExternalMetric,
    ExternalSamples,
    LimitedBy,
    Metric,
    MetricFailure,
    MetricTarget,
    ObjectMetric,
    Observation,
    PodPhase,
    PodSamples,
    PodsMetric,
    PodStatus,
    Proposal,
    Reading,
    Tolerance,
    propose,
)

TEN_PER_CENT = Tolerance(down=0.1, up=0.1)


def pods_running(count: int, *, unready: tuple[int, ...] = ()) -> tuple[PodStatus, ...]:
    return tuple(PodStatus(name=f"p{i}", phase="Running", ready=i not in unready) for i in range(count))


def proposed(
    metric: Metric,
    current: int,
    reading: Reading,
    *,
    pods: tuple[PodStatus, ...] | None = None,
    tolerance: Tolerance = TEN_PER_CENT,
) -> Proposal:
    observation = Observation(
        spec_replicas=current,
        status_replicas=current,
        pods=pods_running(current) if pods is None else pods,
        readings=(reading,),
    )
    return propose(metric, observation, reading, tolerance)


def samples(*levels: int) -> PodSamples:
    return PodSamples({f"p{i}": level for i, level in enumerate(levels)})


def pods_metric(target: int) -> PodsMetric:
    return PodsMetric("qps", MetricTarget("AverageValue", target))


@pytest.mark.parametrize(
    ("upstream", "current", "pods", "levels", "target", "expected"),
    [
        ("TestReplicaCalcScaleUpCM", 3, 3, (20000, 10000, 30000), 15000, 4),
        ("TestReplicaCalcScaleUpCMUnreadyHotCpuNoLessScale", 3, 3, (50000, 10000, 30000), 15000, 6),
        ("TestReplicaCalcScaleUpCMUnreadyHotCpuScaleWouldScaleDown", 3, 3, (50000, 15000, 30000), 15000, 7),
        ("TestReplicaCalcScaleDownCM", 5, 5, (12000,) * 5, 20000, 3),
        ("TestReplicaCalcToleranceCM", 3, 3, (20000, 21000, 21000), 20000, 3),
        ("TestPlainMetricReplicaCalcMissingMetricsNoChangeEq", 5, 5, (20000, 19000, 21000), 20000, 5),
        ("TestReplicaCalcDuringRollingUpdateWithMaxSurgeCM", 2, 3, (10000, 10000), 17000, 2),
    ],
)
def test_pods_metric_upstream(
    *, upstream: str, current: int, pods: int, levels: tuple[int, ...], target: int, expected: int
) -> None:
    """Upstream's custom-metric cases; in the two UnreadyHotCpu ones readiness must not count, so it is False here."""
    unready = (2,) if "Unready" in upstream else ()
    status = pods_running(pods, unready=unready)
    assert proposed(pods_metric(target), current, samples(*levels), pods=status).replicas == expected


@pytest.mark.parametrize(
    ("tolerance", "levels", "expected"),
    [
        (Tolerance(down=0.1, up=0.01), (20000, 21000, 21000), 4),  # TestReplicaCalcConfigurableToleranceCM
        (Tolerance(down=0.1, up=0.05), (20000, 21000, 21000), 3),
        (Tolerance(down=0.01, up=0.1), (19000, 19000, 19600), 3),
        (Tolerance(down=0.4, up=0.1), (12500, 12500, 12500), 3),
        (Tolerance(down=0.3, up=0.1), (12500, 12500, 12500), 2),
    ],
)
def test_tolerance_per_direction(tolerance: Tolerance, levels: tuple[int, ...], expected: int) -> None:
    """Each direction has its own; the other one's is not consulted."""
    assert proposed(pods_metric(20000), 3, samples(*levels), tolerance=tolerance).replicas == expected


@pytest.mark.parametrize(
    ("upstream", "kind", "target", "levels", "current", "unready", "expected"),
    [
        ("ScaleUpCMObject", ObjectMetric, MetricTarget("Value", 15000), (20000,), 3, (), 4),
        ("ScaleUpCMPerPodObject", ObjectMetric, MetricTarget("AverageValue", 5000), (20000,), 3, (), 4),
        ("ScaleUpCMObjectIgnoresUnreadyPods", ObjectMetric, MetricTarget("Value", 10000), (50000,), 3, (0, 2), 5),
        ("ScaleUpCMExternal", ExternalMetric, MetricTarget("Value", 4400), (8600,), 1, (), 2),
        ("ScaleUpCMExternalIgnoresUnreadyPods", ExternalMetric, MetricTarget("Value", 4400), (8600,), 3, (0, 2), 2),
        ("ScaleUpPerPodCMExternal", ExternalMetric, MetricTarget("AverageValue", 2150), (8600,), 3, (), 4),
        ("ScaleDownPerPodCMObject", ObjectMetric, MetricTarget("AverageValue", 2000), (6000,), 5, (), 3),
        ("ScaleDownCMObject", ObjectMetric, MetricTarget("Value", 20000), (12000,), 5, (), 3),
        ("ScaleDownCMExternal", ExternalMetric, MetricTarget("Value", 14334), (8600,), 5, (), 3),
        ("ScaleDownPerPodCMExternal", ExternalMetric, MetricTarget("AverageValue", 2867), (8600,), 5, (), 3),
        ("ToleranceCMObject", ObjectMetric, MetricTarget("Value", 20000), (20666,), 3, (), 3),
        ("TolerancePerPodCMObject", ObjectMetric, MetricTarget("AverageValue", 5000), (20166,), 4, (), 4),
        ("ToleranceCMExternal", ExternalMetric, MetricTarget("Value", 8888), (8600,), 3, (), 3),
        ("TolerancePerPodCMExternal", ExternalMetric, MetricTarget("AverageValue", 2900), (8600,), 3, (), 3),
        ("summed", ExternalMetric, MetricTarget("AverageValue", 2150), (8000, 600), 3, (), 4),
    ],
)
def test_totals_upstream(
    *,
    upstream: str,
    kind: type[ExternalMetric] | type[ObjectMetric],
    target: MetricTarget,
    levels: tuple[int, ...],
    current: int,
    unready: tuple[int, ...],
    expected: int,
) -> None:
    """Upstream's External and Object cases: Value multiplies by the ready pods, AverageValue knows no pods."""
    pods = pods_running(current, unready=unready)
    assert proposed(kind("qps", target), current, ExternalSamples(levels), pods=pods).replicas == expected, upstream


@pytest.mark.parametrize(
    ("phase", "deleting", "sampled", "expected"),
    [
        ("Running", False, True, 6),
        ("Succeeded", False, True, 6),
        ("Unknown", False, True, 6),
        ("Failed", False, True, 4),
        ("Running", True, True, 4),
        ("Pending", True, True, 4),
        ("Pending", False, True, 4),
        ("Running", False, False, 4),
        ("Running", True, False, 4),
    ],
)
def test_what_a_third_pod_counts(phase: PodPhase, deleting: bool, sampled: bool, expected: int) -> None:
    """Beside two pods at 20 against 10: sampled it counts in full, Failed or deleted not at all, else as 0."""
    third = PodStatus(name="p2", phase=phase, ready=False, deleting=deleting)
    reading = samples(20_000, 20_000, 20_000) if sampled else samples(20_000, 20_000)
    assert proposed(pods_metric(10_000), 3, reading, pods=(*pods_running(2), third)).replicas == expected


def test_samples_of_unknown_pods_are_averaged_but_not_counted() -> None:
    """As upstream: the metric source's extra samples move the mean, the multiplier stays the known pods."""
    assert proposed(pods_metric(10_000), 2, samples(20_000, 20_000, 50_000, 50_000)).replicas == 7


def test_a_turn_of_direction_by_unknown_pods_is_no_change() -> None:
    """15 against 10 wants more, but with two pods counted as 0 it would be less."""
    proposal = proposed(pods_metric(10_000), 3, samples(15_000))
    assert (proposal.replicas, proposal.limited_by) == (3, LimitedBy.UNKNOWN_PODS)


@pytest.mark.parametrize(
    ("current", "pods", "levels"),
    [
        (2, 4, (7_000, 7_000)),  # a surge: 0.85 of the target over 4 pods would make 4 of 2
        (10, 3, (30_000, 30_000)),  # pods not created yet: twice the target over 3 pods would make 6 of 10
    ],
)
def test_a_number_of_pods_that_contradicts_the_ratio_is_no_change(
    current: int, pods: int, levels: tuple[int, ...]
) -> None:
    """Less load never adds replicas and more load never removes any, however many pods there happen to be."""
    proposal = proposed(pods_metric(10_000), current, samples(*levels), pods=pods_running(pods))
    assert (proposal.replicas, proposal.limited_by) == (current, LimitedBy.UNKNOWN_PODS)


@pytest.mark.parametrize(
    ("metric", "reading", "pods", "reason"),
    [
        (pods_metric(10_000), PodSamples({}), 1, "no sample of any pod"),
        (pods_metric(10_000), samples(1), 0, "no pods"),
        (pods_metric(10_000), MetricFailure("HTTP 503"), 1, "HTTP 503"),
        (ExternalMetric("q", MetricTarget("Value", 1000)), ExternalSamples(()), 1, "no values"),
        (ExternalMetric("q", MetricTarget("Value", 1000)), ExternalSamples((9000,)), 0, "no pods"),
    ],
)
def test_failures_say_why(metric: Metric, reading: Reading, pods: int, reason: str) -> None:
    """No proposal, and the reason in its place."""
    proposal = proposed(metric, 1, reading, pods=pods_running(pods))
    assert proposal.replicas is None
    assert proposal.limited_by is LimitedBy.NO_METRIC
    assert reason in proposal.detail


def test_only_pending_pods_are_no_metric() -> None:
    """Samples of pods that do not count leave nothing to average."""
    pods = (PodStatus(name="p0", phase="Pending", ready=False),)
    assert proposed(pods_metric(10_000), 1, samples(50_000), pods=pods).replicas is None


def test_external_value_within_tolerance_needs_no_pods() -> None:
    """The pods are listed only when the ratio asks for a change."""
    assert (
        proposed(ExternalMetric("q", MetricTarget("Value", 1000)), 4, ExternalSamples((1050,)), pods=()).replicas == 4
    )


def test_external_average_divides_by_the_status_replicas() -> None:
    """While a scale is under way the target's status, not its spec, says how many pods share the load."""
    reading = ExternalSamples((40_000,))
    metric = ExternalMetric("q", MetricTarget("AverageValue", 10_000))
    observation = Observation(spec_replicas=2, status_replicas=4, pods=(), readings=(reading,))
    assert propose(metric, observation, reading, TEN_PER_CENT).replicas == 4
    none_yet = Observation(spec_replicas=2, status_replicas=0, pods=(), readings=(reading,))
    assert propose(metric, none_yet, reading, TEN_PER_CENT).replicas == 4


def test_proposals_saturate_at_int32() -> None:
    """Kubernetes counts replicas in 32 bits."""
    assert proposed(pods_metric(1), 1, samples(10**18)).replicas == 2**31 - 1


def test_negative_samples_are_divided_towards_zero() -> None:
    """Go's integer division: -5/2 is -2, so the mean of -3 and -2 thousandths is -2."""
    proposal = proposed(pods_metric(1), 2, samples(-3, -2))
    assert proposal.replicas == -4


@pytest.mark.parametrize(
    ("metric", "reading"),
    [
        (pods_metric(1000), ExternalSamples((1,))),
        (ExternalMetric("q", MetricTarget("Value", 1000)), PodSamples({"p0": 1})),
    ],
)
def test_a_reading_of_the_wrong_kind_is_a_mistake_of_the_caller(metric: Metric, reading: Reading) -> None:
    """It is refused, not computed."""
    with pytest.raises(ValueError, match="metric q"):
        proposed(metric, 1, reading)


def test_the_detail_has_the_numbers() -> None:
    """A person can check the arithmetic from the sentence."""
    proposal = proposed(pods_metric(10_000), 4, samples(40_000), pods=pods_running(4))
    assert proposal.detail == (
        "1 pod at 40 against a target of 10 (3 without a sample as 0): then within 0.9 to 1.1 times the target, 4 stays"
    )
