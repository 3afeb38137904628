"""What a trial's loads say of the best max_num_seqs beside their rate."""

from dataclasses import replace

import pytest

from flyball.tune.side import Side, can_be_better, most_at_once, side
from flyball.tune.trial import Refusal
from virtual_tuning import trial


@pytest.mark.parametrize(
    ("missed", "at_once", "expected"),
    [
        (("ttft p95",), 12, Side.ABOVE),
        (("tpot p95",), 12, Side.BELOW),
        (("ttft p95", "tpot p95"), 12, Side.UNKNOWN),
        (("e2e p95",), 12, Side.UNKNOWN),
        (("ttft p95",), 5, Side.BELOW),  # its 8 were never reached: nobody queued for want of them
        (("ttft p95",), None, Side.ABOVE),
    ],
)
def test_what_was_missed_says_where_the_best_is(missed: tuple[str, ...], at_once: int | None, expected: Side) -> None:
    """TTFT alone: more sequences; TPOT alone: fewer; and never more than a limit that was not reached."""
    assert side(trial(0, 8, 5.0, missed=missed, at_once=at_once)) is expected


def test_a_limit_that_is_not_reached_could_be_any_other() -> None:
    """At most 9 ran at once under 128: from 10 on it would have been the same, whatever it was that was missed."""
    found = [trial(0, 128, 5.0, missed=("tpot p95",), at_once=9)]
    assert [value for value in (4, 8, 9, 10, 16, 256) if can_be_better({"max_num_seqs": value}, found)] == [4, 8, 9]


def test_the_best_is_between_queueing_and_long_steps() -> None:
    """Of trials with the same other flags; others say nothing, and contradictions are not believed."""
    found = [
        trial(0, 4, 5.0, missed=("ttft p95",), at_once=12),
        trial(1, 32, 5.0, missed=("tpot p95",), at_once=40),
    ]
    values = (2, 4, 8, 16, 32, 64)
    assert [value for value in values if can_be_better({"max_num_seqs": value}, found)] == [8, 16]
    other = {"max_num_seqs": 2, "max_num_batched_tokens": 2048}
    assert can_be_better(other, found)
    given_up = replace(found[0], refusal=Refusal(kind="client", cause="late"))
    assert can_be_better({"max_num_seqs": 2}, [given_up])
    torn = [*found, trial(2, 64, 5.0, missed=("ttft p95",), at_once=80)]
    assert all(can_be_better({"max_num_seqs": value}, torn) for value in values)


def test_loads_far_beyond_say_nothing() -> None:
    """A first guess that was too high fills every engine."""
    found = trial(0, 128, 5.0, missed=("tpot p95",), at_once=9)
    flood = replace(found.probes[1], rate=50.0, at_once=128, missed=("ttft p95",))
    found = replace(found, probes=(flood, *found.probes))
    assert most_at_once(found) == 9
    assert side(found) is Side.BELOW
