"""On which side of the best `max_num_seqs` a trial lies, by what its loads missed; which values it speaks for. Pure.

Too few sequences make requests queue: TTFT is missed while the time between tokens holds. Too many make steps long:
TPOT is missed while TTFT holds. A limit that was never reached could be any higher, or lower, down to what did run.
"""

from enum import Enum

from flyball.tune.trial import Probe, Trial

AXIS = "max_num_seqs"
"""The flag that is searched without a model: the others matter less, and differ in few values."""


class Side(Enum):
    """Where the best value lies, seen from a trial."""

    ABOVE = "requests queue, steps are short enough"
    BELOW = "steps are too long, requests do not queue"
    UNKNOWN = "both or neither"


def side(trial: Trial) -> Side:
    """By the vote of the loads that missed, up to the lowest rate that did so at the end of each search."""
    if not reached(trial):
        return Side.BELOW  # more sequences would change nothing
    votes = sum(_vote(probe) for probe in _decisive(trial) if probe.verdict == "missed")
    return Side.ABOVE if votes > 0 else Side.BELOW if votes < 0 else Side.UNKNOWN


def reached(trial: Trial) -> bool:
    """Whether as many requests ran at once as the flag allows, or it is not known."""
    most = most_at_once(trial)
    return most is None or most >= int(trial.flags[AXIS])


def most_at_once(trial: Trial) -> int | None:
    """Requests that the engine had at once under the rates that decided; None if it was not measured."""
    counts = [probe.at_once for probe in _decisive(trial)]
    known = [count for count in counts if count is not None]
    return max(known) if known and len(known) == len(counts) else None


def speaks_for(trial: Trial, value: int) -> bool:
    """Whether the engine would have done exactly the same with `value`: neither limit is ever reached."""
    most = most_at_once(trial)
    return value == trial.flags[AXIS] or (most is not None and most < min(value, int(trial.flags[AXIS])))


def _decisive(trial: Trial) -> list[Probe]:
    """The loads up to where each search ended; those beyond only showed that it must be less."""
    highs = [bracket.high for bracket in trial.brackets]
    return [probe for probe in trial.probes if probe.rate <= highs[min(probe.round, len(highs) - 1)]]


def _vote(probe: Probe) -> int:
    ttft, tpot = (any(name.startswith(metric) for name in probe.missed) for metric in ("ttft", "tpot"))
    return ttft - tpot
