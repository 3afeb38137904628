"""How many tokens, drawn from a shape."""

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator

from flyball.spec import Lengths
from flyball.workload.histograms import LengthHistogram

_DRAWN_AT_ONCE = 1024


def token_counts(lengths: Lengths, rng: Generator, *, recorded: LengthHistogram | None = None) -> Iterator[int]:
    """An endless stream of token counts of at least 1; `recorded` is what the shape's `empirical` file holds."""
    if lengths.fixed is not None:
        while True:
            yield lengths.fixed
    elif lengths.lognormal is not None:
        shape = lengths.lognormal
        while True:
            drawn = np.rint(rng.lognormal(shape.mu, shape.sigma, size=_DRAWN_AT_ONCE))
            yield from np.clip(drawn, shape.min, shape.max).astype(np.int64).tolist()
    elif recorded is not None:
        weights = np.asarray(recorded.weights)
        while True:
            yield from rng.choice(recorded.tokens, p=weights / weights.sum(), size=_DRAWN_AT_ONCE).tolist()
    else:
        raise ValueError("an empirical length needs what its file holds")
