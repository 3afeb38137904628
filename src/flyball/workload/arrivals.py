"""When requests arrive, for the open-loop kinds: seconds from the workload's start, never falling."""

from collections.abc import Iterator

from numpy.random import Generator

from flyball.spec import Arrivals, GammaArrivals, Step

_DRAWN_AT_ONCE = 1024


def at_rate(arrivals: Arrivals, rate: float) -> Arrivals:
    """As bursty as the spec's; Poisson where it has a shape that no rate can be put into (steps, traces, clients)."""
    if arrivals.gamma is not None:
        return Arrivals(gamma=GammaArrivals(rate=rate, cv=arrivals.gamma.cv))
    return Arrivals(poisson=rate)


def arrival_times(arrivals: Arrivals, rng: Generator, *, recorded: tuple[float, ...] = ()) -> Iterator[float]:
    """The arrival times of `arrivals`; `recorded` are those of its trace file.

    Poisson and gamma do not end; steps and traces do. A Poisson process is left as it falls: its gaps are exponential
    and the number of arrivals in a time varies (scaling the times to hit a count would take that variance away).
    A closed loop has no arrival times and raises ValueError: its clients send when they are free.
    """
    if arrivals.poisson is not None:
        yield from _poisson(arrivals.poisson, rng)
    elif arrivals.gamma is not None:
        yield from _gamma(arrivals.gamma.rate, arrivals.gamma.cv, rng)
    elif arrivals.step is not None:
        yield from _steps(arrivals.step, rng)
    elif arrivals.trace is not None:
        yield from recorded
    else:
        raise ValueError("a closed loop has no arrival times")


def _poisson(rate: float, rng: Generator) -> Iterator[float]:
    now = 0.0
    while True:
        for gap in rng.exponential(1 / rate, size=_DRAWN_AT_ONCE).tolist():
            now += gap
            yield now


def _gamma(rate: float, cv: float, rng: Generator) -> Iterator[float]:
    # A gamma distribution of shape k has the coefficient of variation 1/sqrt(k) and the mean k * scale.
    shape, scale = 1 / cv**2, cv**2 / rate
    now = 0.0
    while True:
        for gap in rng.gamma(shape, scale, size=_DRAWN_AT_ONCE).tolist():
            now += gap
            yield now


def _steps(steps: tuple[Step, ...], rng: Generator) -> Iterator[float]:
    start = 0.0
    for step in steps:
        end = start + step.duration
        if step.rate > 0:
            # Exponential gaps have no memory: starting afresh at the step's beginning leaves it a Poisson process.
            for offset in _poisson(step.rate, rng):
                if start + offset >= end:
                    break
                yield start + offset
        start = end
