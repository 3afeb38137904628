import pytest

from flyball.local.timeline import FleetEvent, FleetSample, ReplicaSample, Timeline


def _sample(t_s: float, **tokens: float | None) -> FleetSample:
    replicas = tuple(
        ReplicaSample(
            name=name, state="ready", running=1, waiting=2, generation_tokens=count, ttft_sum_s=count, ttft_count=1
        )
        for name, count in tokens.items()
    )
    return FleetSample(t_s=t_s, desired=len(replicas), replicas=replicas)


def test_tokens_per_second_adds_up_the_replicas() -> None:
    """Each replica's counter is followed on its own, and the rates are added."""
    timeline = Timeline(samples=[_sample(0, a=100, b=0), _sample(2, a=140, b=20)])

    assert timeline.tokens_per_s() == pytest.approx(30)


def test_a_restarted_replica_does_not_count_backwards() -> None:
    """After a restart the counter starts from 0 again, and what it shows was generated since."""
    timeline = Timeline(samples=[_sample(0, a=1000), _sample(2, a=10)])

    assert timeline.tokens_per_s() == pytest.approx(5)


def test_a_replica_that_comes_or_goes_is_no_jump() -> None:
    """Only replicas in both samples count."""
    timeline = Timeline(samples=[_sample(0, a=1000), _sample(2, b=500)])

    assert timeline.tokens_per_s() == 0


def test_no_ttft_without_a_first_token() -> None:
    """The mean over nothing is None, not 0."""
    assert Timeline(samples=[_sample(0, a=1), _sample(2, a=1)]).mean_ttft_s() is None


def test_a_long_lived_timeline_keeps_the_end() -> None:
    """What is kept is bounded, and it is the latest."""
    timeline = Timeline(keep=2)
    for t_s in range(5):
        timeline.add_sample(_sample(t_s))
        timeline.add_event(FleetEvent(t_s=t_s, kind="scale", text=""))

    assert [sample.t_s for sample in timeline.samples] == [3, 4]
    assert [event.t_s for event in timeline.events] == [3, 4]


def test_in_system_is_running_and_waiting() -> None:
    """The work in the system is what runs and what waits, over all replicas."""
    assert _sample(0, a=0, b=0).in_system == 6
