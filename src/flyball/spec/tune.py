"""The `tune` section: which engine flags may be changed, between which bounds, and what the search may cost."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from flyball.spec.quantities import PositiveSeconds, SpecModel


class NumbersSpec(SpecModel):
    """Values of a numeric flag: the doublings between `min` and `max`, both included, or a list. One value fixes it."""

    min: PositiveInt | None = None
    max: PositiveInt | None = None
    values: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _range_or_list(self) -> Self:
        if (self.values is None) == (self.min is None and self.max is None):
            raise ValueError("give min and max, or values, for example {min: 4, max: 256}")
        if self.values is None and (self.min is None or self.max is None):
            raise ValueError("give both min and max")
        if self.min is not None and self.max is not None and self.max < self.min:
            raise ValueError(f"max {self.max} is below min {self.min}")
        return self

    def grid(self) -> tuple[int, ...]:
        """The values, rising."""
        if self.values is not None:
            return tuple(sorted(set(self.values)))
        assert self.min is not None
        assert self.max is not None
        found = [self.min]
        while found[-1] * 2 < self.max:
            found.append(found[-1] * 2)
        return tuple(sorted({*found, self.max}))


Share = Annotated[float, Field(gt=0, le=1)]


class FlagsSpec(SpecModel):
    """Bounds by vLLM's flag names. The value that the engine starts with is always among those that are tried."""

    max_num_seqs: NumbersSpec | None = None
    max_num_batched_tokens: NumbersSpec | None = None
    max_model_len: NumbersSpec | None = None
    """Reserves no memory; a shorter one lets an engine start whose KV cache is small."""
    gpu_memory_utilization: tuple[Share, ...] = ()
    kv_cache_dtype: tuple[Literal["auto", "fp8", "fp8_e4m3", "fp8_e5m2"], ...] = ()
    """Others than `auto` change answers a little, so they are tried only if they are named here."""
    quantization: tuple[str, ...] = ()
    """Methods for vLLM's --quantization; they change answers, so they are tried only if they are named here."""


class TuneSpec(SpecModel):
    """`flyball tune`: the search for the engine flags with the highest goodput."""

    flags: FlagsSpec = FlagsSpec()
    restarts: PositiveInt = 8
    """Engine starts in all, the first one included."""
    time: PositiveSeconds | None = None
    """No further start after this long; null is no limit."""
    dollars: Annotated[float, Field(gt=0)] | None = None
    """No further start after this much has been spent; needs `usd_per_hour`."""
    usd_per_hour: Annotated[float, Field(gt=0)] | None = None
    """What the server costs."""
    serves_for: PositiveSeconds = 86400.0
    """How long the flags will be used: a restart is worth its time while the expected gain over this is longer."""
    requests: Annotated[int, Field(ge=20)] = 120
    """At most so many requests decide whether the objective holds at a rate; mostly fewer are needed."""
    resolution: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    """Rates this close (a share of the rate) are not told apart by one search."""

    @model_validator(mode="after")
    def _dollars_have_a_price(self) -> Self:
        if self.dollars is not None and self.usd_per_hour is None:
            raise ValueError("dollars needs usd_per_hour, the price of the server")
        return self
