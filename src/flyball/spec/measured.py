"""The `measured` section: the rate that a replica was measured to hold, and everything that it holds for."""

import datetime
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from flyball.spec.flags import FlagName, FlagValue
from flyball.spec.objective import SLO
from flyball.spec.quantities import Rate, SpecModel


class MeasuredSpec(SpecModel):
    """One replica on a real server. A plan that differs in anything here does not use it."""

    requests_per_s: Rate
    """The highest rate of one replica within the objective."""
    error: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of that rate: one standard deviation, as a share."""
    accelerator: str
    """By its name in the catalog; CPU where there was none."""
    vllm: str
    """The version."""
    model: str
    slo: SLO
    prompt_tokens: PositiveFloat
    """The mean of the workload that it was measured with."""
    output_tokens: PositiveFloat
    tensor_parallel_size: PositiveInt = 1
    flags: dict[FlagName, FlagValue]
    """That the engine was started with."""
    date: datetime.date
    run: str
    """The run folder's name."""
