"""`Distribution`: a sample of latencies in a few numbers."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


def percentile(rising: Sequence[float] | NDArray[np.float64], percent: float) -> float:
    """The percentile of values sorted upwards, at least one, by linear interpolation at rank percent/100 * (n - 1).

    This is numpy's default method, except that values may be infinite: between a finite and an infinite value lies
    infinity.
    """
    rank = percent / 100 * (len(rising) - 1)
    below = int(rank)
    low = float(rising[below])
    if rank == below:
        return low
    high = float(rising[below + 1])
    return high if np.isinf(high) else low + (high - low) * (rank - below)


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Seconds, over `count` values; None where there are none."""

    count: int
    mean_s: float | None
    p50_s: float | None
    p90_s: float | None
    p95_s: float | None
    p99_s: float | None
    max_s: float | None

    @classmethod
    def of(cls, values: Sequence[float] | NDArray[np.float64]) -> Self:
        """The distribution of `values`, in any order."""
        rising = np.sort(np.asarray(values, dtype=np.float64))
        if rising.size == 0:
            return cls(count=0, mean_s=None, p50_s=None, p90_s=None, p95_s=None, p99_s=None, max_s=None)
        return cls(
            count=int(rising.size),
            mean_s=float(rising.mean()),
            p50_s=percentile(rising, 50),
            p90_s=percentile(rising, 90),
            p95_s=percentile(rising, 95),
            p99_s=percentile(rising, 99),
            max_s=float(rising[-1]),
        )

    def to_dict(self) -> dict[str, float | None]:
        """For JSON, rounded to the microsecond."""
        return {name: value if value is None else round(value, 6) for name, value in asdict(self).items()}
