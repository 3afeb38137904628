"""`Speed`: the factors of the step times of a chip, and what predictions with them are worth."""

from dataclasses import dataclass

from flyball.catalog import Accelerator
from flyball.perf.efficiency import Efficiency
from flyball.planning.interval import UNCALIBRATED_ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """The factors of one chip; `error` is that of its step times, `source` says in words where they come from."""

    efficiency: Efficiency
    error: float
    source: str


def default_speed(accelerator: Accelerator) -> Speed:
    """What is known of every chip: the data sheet and the usual factors."""
    return Speed(
        efficiency=Efficiency(),
        error=UNCALIBRATED_ERROR,
        source=f"{accelerator.name} is not calibrated: typical factors, step times within {UNCALIBRATED_ERROR:.0%}",
    )
