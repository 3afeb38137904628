"""`LoadStatistics`: a served load in a few numbers, predicted and measured ones alike."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from flyball.perf.load import ServedRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadStatistics:
    """Latencies from the send, per request; rates from the first send to the last token. None: not known."""

    requests_per_s: float | None = None
    output_tokens_per_s: float | None = None
    ttft_mean_s: float | None = None
    ttft_p50_s: float | None = None
    ttft_p95_s: float | None = None
    tpot_mean_s: float | None = None
    tpot_p50_s: float | None = None
    tpot_p95_s: float | None = None
    e2e_mean_s: float | None = None
    e2e_p95_s: float | None = None

    @classmethod
    def of(cls, served: Sequence[ServedRequest]) -> Self:
        """Of at least one request."""
        ttft = np.array([each.ttft_s for each in served])
        tpot = np.array([seconds for each in served if (seconds := each.tpot_s) is not None])
        e2e = np.array([each.last_token_s - each.sent_s for each in served])
        seconds = max(each.last_token_s for each in served) - min(each.sent_s for each in served)
        return cls(
            requests_per_s=len(served) / seconds,
            output_tokens_per_s=sum(each.request.output_tokens for each in served) / seconds,
            ttft_mean_s=float(ttft.mean()),
            ttft_p50_s=float(np.percentile(ttft, 50)),
            ttft_p95_s=float(np.percentile(ttft, 95)),
            tpot_mean_s=float(tpot.mean()) if tpot.size else None,
            tpot_p50_s=float(np.percentile(tpot, 50)) if tpot.size else None,
            tpot_p95_s=float(np.percentile(tpot, 95)) if tpot.size else None,
            e2e_mean_s=float(e2e.mean()),
            e2e_p95_s=float(np.percentile(e2e, 95)),
        )

    def slowed(self, factor: float) -> Self:
        """The same on a clock that runs slower by `factor`."""
        changed = {}
        for field in fields(self):
            value: float | None = getattr(self, field.name)
            if value is not None:
                changed[field.name] = value / factor if field.name.endswith("per_s") else value * factor
        return type(self)(**changed)
