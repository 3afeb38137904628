from dataclasses import replace
from itertools import pairwise
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball.perf.efficiency import Efficiency
from flyball.perf.frontend import Frontend
from flyball.perf.load import LoadRequest, serve
from flyball.perf.replica import EngineReplica, Outcome
from flyball.perf.scheduler import Sequence
from measured_engines import step_model

_NO_LAUNCH = replace(Efficiency(), launch_s_per_layer=0.0, host_s=1e-4)
_SLOW_LAUNCH = replace(Efficiency(), eager_launch_s_per_layer=1e-3)


def _replica(**flags: object) -> EngineReplica:
    return EngineReplica(step_model(**flags), kv_cache_tokens=100_000)  # type: ignore[arg-type]


def _sequence(index: int = 0, prompt: int = 100, output: int = 50) -> Sequence:
    return Sequence(index=index, prompt_tokens=prompt, output_tokens=output)


def _outcomes(replica: EngineReplica, cuts: list[float]) -> list[Outcome]:
    found = []
    for until in [*sorted(cuts), inf]:
        while (outcome := replica.advance(until)) is not None:
            found.append(outcome)
    return found


@settings(deadline=None)
@given(
    lengths=st.lists(st.tuples(st.integers(1, 600), st.integers(1, 300)), min_size=1, max_size=12),
    cuts=st.lists(st.floats(0, 3), max_size=12),
)
@pytest.mark.long
def test_looking_more_often_changes_nothing(lengths: list[tuple[int, int]], cuts: list[float]) -> None:
    """Runs of steps may be cut anywhere: the same tokens come at the same times."""
    ends = []
    for times in ([], cuts):
        replica = _replica()
        for index, (prompt, output) in enumerate(lengths):
            replica.submit(_sequence(index, prompt, output), 0.0)
        outcomes = _outcomes(replica, times)
        moments = [outcome.at_s for outcome in outcomes]
        assert moments == sorted(moments)
        ends.append({sequence.index: each.at_s for each in outcomes for sequence in each.step.finished})
    assert ends[0].keys() == ends[1].keys() == set(range(len(lengths)))
    assert ends[1] == pytest.approx(ends[0], rel=1e-3)


def test_alone_an_answer_takes_its_steps() -> None:
    """Prompt and decode steps follow each other; the device is busy throughout."""
    replica = _replica()
    model = replica.model
    replica.submit(_sequence(prompt=512, output=101), 0.0)
    outcomes = _outcomes(replica, [])
    first, last = outcomes[0].at_s, outcomes[-1].at_s
    assert last - first == pytest.approx(100 * model.decode(1, 562), rel=0.02)
    assert replica.busy_s == pytest.approx(last, rel=0.02)


def test_an_arrival_joins_the_step_after_the_next() -> None:
    """The next step is scheduled already while the current one runs; without that it would join the next."""
    waits = {}
    model = step_model(efficiency=_NO_LAUNCH)
    for scheduling_ahead in (True, False):
        replica = EngineReplica(model, kv_cache_tokens=100_000, async_scheduling=scheduling_ahead)
        replica.submit(_sequence(0, 100, 200), 0.0)
        assert replica.advance(0.2) is not None
        while replica.advance(0.2) is not None:
            pass
        replica.submit(_sequence(1, 1, 2), 0.2)
        outcome = next(each for each in _outcomes(replica, []) if each.step.first_tokens)
        waits[scheduling_ahead] = outcome.at_s - 0.2
    step_s = model.decode(1, 150)
    assert 2 * step_s < waits[True] < 3.1 * step_s
    assert 1 * step_s < waits[False] < 2.1 * step_s


def test_a_first_token_waits_for_the_launches_behind_it() -> None:
    """Eager, the host looks at a step's outcome only when it has launched the next one: two launches, not one."""
    replica = EngineReplica(step_model(enforce_eager=True, efficiency=_SLOW_LAUNCH), kv_cache_tokens=100_000)
    replica.submit(_sequence(prompt=16, output=20), 0.0)
    first = replica.advance()
    assert first is not None
    launch_s = sum(replica.model.host(16, 1, 0))
    assert first.at_s == pytest.approx(2 * launch_s, rel=0.01)


def test_an_idle_engine_waits_for_work() -> None:
    """Nothing happens before an arrival, and afterwards as at time 0."""
    replica = _replica()
    assert replica.advance() is None
    replica.submit(_sequence(), 5.0)
    late = _outcomes(replica, [])[-1].at_s
    replica = _replica()
    replica.submit(_sequence(), 0.0)
    assert late - 5.0 == pytest.approx(_outcomes(replica, [])[-1].at_s)


def test_a_burst_shares_the_api_server() -> None:
    """Requests that come together come out together; one alone takes its own time; tokens on the way out slow both."""
    frontend: Frontend[str] = Frontend(0.002)
    frontend.submit("alone", 1.0)
    assert frontend.next_s == pytest.approx(1.002)
    assert frontend.pop() == "alone"
    for name in "abc":
        frontend.submit(name, 2.0)
    assert frontend.next_s == pytest.approx(2.006)
    frontend.slow(0.5, 2.003)
    assert frontend.next_s == pytest.approx(2.009)
    assert [frontend.pop() for _ in "abc"] == ["a", "b", "c"]
    assert frontend.next_s == inf


@settings(deadline=None)
@given(lengths=st.lists(st.tuples(st.integers(1, 400), st.integers(1, 40)), min_size=1, max_size=20))
def test_every_request_is_served(lengths: list[tuple[int, int]]) -> None:
    """In open and closed loops, with first tokens after the send and last ones after the first."""
    for clients in (None, 3):
        requests = [
            LoadRequest(prompt, output, None if clients else 0.01 * index)
            for index, (prompt, output) in enumerate(lengths)
        ]
        served = serve(step_model(), requests, kv_cache_tokens=2_000, concurrency=clients)
        assert [each.request for each in served] == requests
        assert all(each.sent_s < each.first_token_s <= each.last_token_s for each in served)


def test_a_client_of_a_closed_loop_waits_for_its_answer() -> None:
    """With one client no two requests overlap."""
    served = serve(step_model(), [LoadRequest(64, 16)] * 5, kv_cache_tokens=10_000, concurrency=1)
    assert all(after.sent_s >= before.last_token_s for before, after in pairwise(served))
