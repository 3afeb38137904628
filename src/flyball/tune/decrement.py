"""The usual recipe, for comparison: lower `max_num_seqs` by 32 until the p95 of end-to-end latency is under 500 ms.

As it is written down in tutorials; the load is the spec's own rate. It looks at neither TTFT nor TPOT, and a queue
counts as latency, so lowering further makes it worse once the batch is what is missing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flyball.tune.proposal import Finished, Proposal
from flyball.tune.trial import Flags, Trial

STEP = 32
LIMIT_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Decrement:
    """A proposer. Each of its trials is one load at the spec's rate, less the last, which is measured in full."""

    start: Flags
    rate: float

    def __call__(self, trials: Sequence[Trial]) -> Proposal | Finished:
        if not trials:
            return Proposal(flags=self.start, why="the recipe: begin with what there is", guess=self.rate)
        last = trials[-1]
        value = last.flags["max_num_seqs"]
        assert isinstance(value, int)
        if last.e2e_p95_s is not None and last.e2e_p95_s < LIMIT_S:
            return Finished(why=f"the p95 of end-to-end latency is under {LIMIT_S * 1000:.0f} ms")
        if value <= STEP:
            return Finished(why=f"max_num_seqs {value} cannot be lowered by {STEP}; the p95 is still over the limit")
        why = f"the recipe: the p95 of end-to-end latency is over {LIMIT_S * 1000:.0f} ms, so {STEP} fewer sequences"
        return Proposal(flags={**last.flags, "max_num_seqs": value - STEP}, why=why, guess=self.rate)


def is_content(flags: Flags, e2e_p95_s: float) -> bool:
    """Whether the recipe ends here: content, or at its wits' end."""
    value = flags["max_num_seqs"]
    return e2e_p95_s < LIMIT_S or (isinstance(value, int) and value <= STEP)
