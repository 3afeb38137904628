"""Whether the crowd of requests met an objective."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from flyball.measurement.distribution import percentile
from flyball.measurement.summary import Summary
from flyball.spec import SLO, LatencyMetric


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveResult:
    """One objective, measured."""

    metric: LatencyMetric
    percentile: int
    bound_s: float
    measured_s: float | None
    """Infinite where failed requests reach down to this percentile; None without data."""
    count: int
    """How many requests it was measured over, failed ones included."""
    holds: bool

    def to_dict(self) -> dict[str, Any]:
        """For JSON, which has no infinity: `measured_s` is null where failures reach down to the percentile."""
        values = asdict(self)
        return values | {"measured_s": self.measured_s if math.isfinite(self.measured_s or 0.0) else None}


def objective_results(summary: Summary, slo: SLO) -> tuple[ObjectiveResult, ...]:
    """Every objective of `slo`, measured over the requests of `summary`.

    The percentile is taken over all requests, with failed ones as infinitely late: "95 % of requests have their first
    token within 200 ms" is not made true by failing the slow ones. A cancelled request counts, as late, only if it had
    already waited past the bound. Without data an objective does not hold.
    """
    results = []
    for metric, percent, bound in slo.objectives():
        measured_over = summary.samples[metric]
        late = measured_over.failures + sum(waited > bound for waited in measured_over.waited)
        values = [*measured_over.served, *[math.inf] * late]
        measured = percentile(values, percent) if values else None
        results.append(
            ObjectiveResult(
                metric=metric,
                percentile=percent,
                bound_s=bound,
                measured_s=measured,
                count=len(values),
                holds=measured is not None and measured <= bound,
            )
        )
    return tuple(results)
