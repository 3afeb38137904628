"""The highest rate at which the objective holds: from a guess outwards to a bracket, then by bisection. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

EXPANSION = 1.5
"""From a rate that held to the next one while none was missed, and the other way round."""
LOWEST = 1 / 64
"""Of the first guess: if nothing above holds, nothing does."""
RUN_TO_RUN = 0.08
"""How much a measured rate differs when the same flags are measured again (standard deviation, as a share), taken until
repeats have shown it. Assumed: the benchmark's shared machine with two cores differs more from one start to the next
(14 to 86 % between two), a machine of its own less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One rate (requests per second) and whether the objective held."""

    rate: float
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """The highest rate that held, and the lowest above it that did not; 0 and infinity where there is none."""

    low: float
    high: float

    @property
    def rate(self) -> float:
        """The best guess: their geometric mean, 0 where nothing held."""
        if self.low == 0 or math.isinf(self.high):
            return self.low
        return math.sqrt(self.low * self.high)

    @property
    def spread(self) -> float:
        """Standard deviation of the logarithm of the true rate, taken as anywhere between the two."""
        if self.low == 0 or math.isinf(self.high):
            return math.inf
        return math.log(self.high / self.low) / math.sqrt(12)


def bracket(tried: Sequence[Tried]) -> Bracket:
    """Of rates tried in any order. Where chance had a lower rate miss and a higher one hold, the higher one counts."""
    low = max((each.rate for each in tried if each.held), default=0.0)
    high = min((each.rate for each in tried if not each.held and each.rate > low), default=math.inf)
    return Bracket(low=low, high=high)


def next_rate(tried: Sequence[Tried], *, guess: float, resolution: float) -> float | None:
    """The rate to try next; None once the bracket is as narrow as `resolution`, or nothing holds."""
    if not tried:
        return guess
    found = bracket(tried)
    if math.isinf(found.high):
        return found.low * EXPANSION
    if found.low == 0:
        lower = found.high / EXPANSION
        return lower if lower >= guess * LOWEST else None
    return None if found.high <= found.low * (1 + resolution) else math.sqrt(found.low * found.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The rate at which the objective just holds, over one search or several."""

    rate: float
    error: float
    """Standard deviation of its logarithm."""
    rounds: int

    @classmethod
    def of(cls, brackets: Sequence[Bracket], *, waited: float = 0.0) -> "Estimate":
        """The geometric mean of searches with different requests; 0 if one of them found no rate that holds.

        `waited` is the share of the processors' time that the engine waited for: the same flags may hold so much more.
        """
        if any(each.low == 0 for each in brackets):
            return cls(rate=0.0, error=0.0, rounds=len(brackets))
        logs = [math.log(each.rate) for each in brackets]
        mean, count = sum(logs) / len(logs), len(logs)
        inside = sum(each.spread**2 for each in brackets) / count
        # The scatter that was seen, drawn towards what is usual while there is little of it.
        scatter = (RUN_TO_RUN**2 + sum((value - mean) ** 2 for value in logs)) / count
        return cls(rate=math.exp(mean), error=math.sqrt((inside + scatter) / count + waited**2), rounds=count)

    def gain_over(self, other: "Estimate") -> float:
        """Relative: 0.1 is a tenth more; infinite over nothing."""
        return math.inf if other.rate == 0 and self.rate > 0 else self.rate / other.rate - 1 if other.rate else 0.0

    def z_over(self, other: "Estimate") -> float:
        """By how many standard deviations it is higher."""
        if self.rate == 0 or other.rate == 0:
            return 0.0 if self.rate == other.rate else math.copysign(math.inf, self.rate - other.rate)
        return math.log(self.rate / other.rate) / math.hypot(self.error, other.error)
