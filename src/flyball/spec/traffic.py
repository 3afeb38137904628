"""The shape of traffic: when requests arrive and how long they are.

The same shapes stand in specs, workload files, measurements and reports; `flyball.workload` draws from them.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from flyball.spec.quantities import PositiveSeconds, Rate, SpecModel


def _one_of(*keys: str) -> dict[str, Any]:
    return {"oneOf": [{"required": [key]} for key in keys]}


class _Choice(SpecModel):
    """A mapping in which exactly one key is given; the key names the kind."""

    @model_validator(mode="before")
    @classmethod
    def _exactly_one(cls, value: Any) -> Any:
        if isinstance(value, dict):
            known = list(cls.model_fields)
            given = [key for key in value if key in known and value[key] is not None]
            if len(given) != 1 and not set(value) - set(known):
                raise ValueError(f"give exactly one of {', '.join(known)}")
        return value


class GammaArrivals(SpecModel):
    """Arrivals with gamma-distributed gaps."""

    rate: Rate
    """Requests per second."""
    cv: Annotated[float, Field(gt=0)]
    """Coefficient of variation of the gaps: 1 is Poisson, above 1 is bursty."""


class Step(SpecModel):
    """A stretch of Poisson arrivals at one rate."""

    rate: Annotated[float, Field(ge=0)]
    """Requests per second."""
    duration: PositiveSeconds
    """How long, for example 30s."""


class Arrivals(_Choice, json_schema_extra=_one_of("poisson", "gamma", "closed_loop", "step", "trace")):
    """When requests arrive. Exactly one key."""

    poisson: Rate | None = None
    """Open loop: independent arrivals at this many requests per second."""
    gamma: GammaArrivals | None = None
    """Open loop with chosen burstiness."""
    closed_loop: PositiveInt | None = None
    """This many clients, each sending its next request when the last has ended."""
    step: Annotated[tuple[Step, ...], Field(min_length=1)] | None = None
    """Open loop: Poisson stretches, one after the other."""
    trace: str | None = None
    """Open loop: a file with recorded arrivals (CSV or JSON Lines), relative to the file that names it."""

    @property
    def kind(self) -> Literal["poisson", "gamma", "closed_loop", "step", "trace"]:
        for kind in ("poisson", "gamma", "closed_loop", "step", "trace"):
            if getattr(self, kind) is not None:
                return kind
        raise AssertionError("validated: one kind is given")

    @property
    def mean_rate(self) -> float | None:
        """Requests per second, where the shape alone tells it."""
        if self.poisson is not None:
            return self.poisson
        if self.gamma is not None:
            return self.gamma.rate
        if self.step is not None:
            seconds = sum(step.duration for step in self.step)
            return sum(step.rate * step.duration for step in self.step) / seconds
        return None


class LogNormal(SpecModel):
    """Log-normal token counts, rounded, cut below at `min` and above at `max`."""

    mu: Annotated[float, Field(le=16)]
    """Mean of the natural logarithm: the median is exp(mu) tokens (at 16 more than any context holds)."""
    sigma: Annotated[float, Field(ge=0, le=4)]
    """Standard deviation of the natural logarithm."""
    min: PositiveInt = 4
    max: PositiveInt | None = None

    @model_validator(mode="after")
    def _range(self) -> Self:
        if self.max is not None and self.max < self.min:
            raise ValueError(f"max {self.max} is below min {self.min}")
        return self


class Lengths(_Choice, json_schema_extra=_one_of("fixed", "lognormal", "empirical")):
    """How many tokens. Exactly one key."""

    fixed: PositiveInt | None = None
    """Always this many."""
    lognormal: LogNormal | None = None
    """Log-normal, as conversation lengths mostly are."""
    empirical: str | None = None
    """A file with one token count per line, or `tokens,weight` per line, relative to the file that names it."""


class WorkloadShape(SpecModel):
    """What a workload file holds, and the `workload` section of a spec."""

    arrivals: Arrivals = Arrivals(poisson=1.0)
    peak: Rate | None = None
    """Requests per second to plan for and to prove; null means that it is derived or measured."""
    prompt_tokens: Lengths = Lengths(lognormal=LogNormal(mu=6.0, sigma=0.6, min=8))
    """Tokens of a prompt. The default (median 403, mean 483) is a chat mix."""
    output_tokens: Lengths = Lengths(lognormal=LogNormal(mu=4.8, sigma=0.6))
    """Tokens of an answer. The default has a median of 122 and a mean of 145."""
    shared_prefix_tokens: NonNegativeInt = 0
    """Leading prompt tokens that all requests share, as a system prompt does (prefix-cache hits)."""
