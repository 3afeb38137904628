"""On which side of the best `max_num_seqs` a trial lies, by what its loads missed; which values it speaks for. Pure.

Too few sequences make requests queue: TTFT is missed while the time between tokens holds. Too many make steps long:
TPOT is missed while TTFT holds. A limit that was never reached could be any higher, or lower, down to what did run.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from flyball.tune.trial import Flags, Probe, Trial

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Between which values the best is, by the trials of one line: above `floor` or at it, below `ceiling` or at it."""

    floor: int = 0
    ceiling: float = math.inf

    @classmethod
    def of(cls, trials: Iterable[Trial]) -> "Open":
        """Everything where they contradict each other, as chance near the best value can make them."""
        floor, ceiling = 0, math.inf
        for trial in trials:
            value, most, where = int(trial.flags[AXIS]), most_at_once(trial), side(trial)
            if where is Side.ABOVE:
                floor = max(floor, value)
            elif where is Side.BELOW:
                # Below a limit that is not reached, any other does the same down to what did run.
                ceiling = min(ceiling, value if most is None else min(value, most + 1))
        return cls(floor=floor, ceiling=ceiling) if floor < ceiling else cls()

    def __contains__(self, value: int) -> bool:
        return self.floor < value < self.ceiling

    def __str__(self) -> str:
        parts = []
        if self.floor:
            parts.append(f"at {self.floor} requests queue while steps are short enough (TTFT missed, TPOT held)")
        if self.ceiling < math.inf:
            parts.append(f"from {self.ceiling:.0f} on steps are too long (TPOT missed), or as many never run at once")
        return "; ".join(parts)


def others(flags: Flags) -> Flags:
    """All but the flag that is searched: those of one line have them in common."""
    return {name: value for name, value in flags.items() if name != AXIS}


def line(flags: Flags, trials: Iterable[Trial]) -> list[Trial]:
    """The trials that were measured to their end and differ from `flags` in no other flag."""
    return [
        trial
        for trial in trials
        if trial.probes
        and (trial.refusal is None or trial.refusal.kind == "nothing holds")
        and others(trial.flags) == others(flags)
    ]


def can_be_better(flags: Flags, trials: Iterable[Trial]) -> bool:
    """Whether what was measured leaves it open."""
    return AXIS not in flags or int(flags[AXIS]) in Open.of(line(flags, trials))


def _decisive(trial: Trial) -> list[Probe]:
    """The loads up to where each search ended; those beyond only showed that it must be less."""
    highs = [bracket.high for bracket in trial.brackets]
    return [probe for probe in trial.probes if probe.rate <= highs[min(probe.round, len(highs) - 1)]]


def _vote(probe: Probe) -> int:
    ttft, tpot = (any(name.startswith(metric) for name in probe.missed) for metric in ("ttft", "tpot"))
    return ttft - tpot
