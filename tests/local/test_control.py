import pytest

from flyball.local.control import read_signal
from flyball.local.policy import local_policy
from flyball.local.timeline import ReplicaSample
from flyball.scaling import ExternalSamples, MetricFailure
from flyball.spec import ServingSpec, Signal, parse_model


def _replica(name: str, state: str = "ready", running: float | None = 3, waiting: float | None = 2) -> ReplicaSample:
    return ReplicaSample(name=name, state=state, running=running, waiting=waiting, kv_cache_usage=0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(("signal", "milli"), [("in_system", 10_000), ("waiting", 4_000), ("kv", 1_000)])
def test_the_signal_is_added_up_over_the_replicas(signal: Signal, milli: int) -> None:
    """External AverageValue takes the sum; the law divides it by the replicas."""
    reading, value = read_signal(signal, [_replica("a"), _replica("b"), _replica("c", "starting", None, None)])

    assert reading == ExternalSamples((milli,))
    assert value == milli / 1000


def test_a_replica_that_does_not_answer_fails_the_reading() -> None:
    """The sum over the others would look like less load than there is."""
    reading, value = read_signal("in_system", [_replica("a"), _replica("b", running=None, waiting=None)])

    assert isinstance(reading, MetricFailure)
    assert value is None


def test_a_draining_replica_may_be_silent() -> None:
    """One that is leaving does not hold the decisions about the rest."""
    reading, _ = read_signal("in_system", [_replica("a"), _replica("b", "draining", None, None)])

    assert reading == ExternalSamples((5_000,))


def test_nothing_ready_is_a_failure_and_not_zero() -> None:
    """Without a serving replica there is no load figure, and 0 would scale down."""
    reading, _ = read_signal("in_system", [_replica("a", "restarting", None, None)])

    assert isinstance(reading, MetricFailure)


def _spec(text: str = "") -> ServingSpec:
    return parse_model(ServingSpec, "model: {id: m}\n" + text, source="test")


@pytest.mark.parametrize(
    ("text", "milli"),
    [
        ("", 4_000),  # half of 8 sequences
        ("scaling: {target: 5}", 5_000),
        ("scaling: {signal: waiting}", 10_000),
        ("scaling: {signal: kv}", 700),
    ],
)
def test_the_target_is_derived_or_given(text: str, milli: int) -> None:
    """The spec's target wins; else it follows from the signal and the engine's concurrency."""
    assert local_policy(_spec(text), max_num_seqs=8).metrics[0].target.milli == milli


def test_local_behaviour_has_short_windows_and_the_api_servers_policies() -> None:
    """What the spec leaves out has Kubernetes' defaults, except the windows, which are short because people watch."""
    policy = local_policy(_spec("local: {sync_period: 2s}"), max_num_seqs=8)

    assert policy.sync_period_s == 2
    assert policy.scale_up_window_s == 0
    assert policy.scale_down_window_s == 30
    assert policy.behavior is not None
    assert [str(rule) for rule in policy.behavior.scale_up.policies] == ["Pods 4 per 15 s", "Percent 100 per 15 s"]
