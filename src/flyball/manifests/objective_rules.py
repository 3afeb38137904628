"""The objective as an error budget: the share of requests that miss it, and alerts on how fast the budget burns.

The method is that of the Site Reliability Workbook, chapter 5 ("Multiwindow, Multi-Burn-Rate Alerts"): a page when a
long and a short window both show that the budget of 30 days would be gone in days, a ticket when in weeks. The short
window lets the alert end soon after the cause does.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from flyball.manifests.latency import Objective, objectives
from flyball.manifests.promql import Vector, increase, rate, total
from flyball.manifests.rules import Alert, Group, Record, Severity
from flyball.manifests.series import Series
from flyball.manifests.watch import Watch
from flyball.units import format_duration

MISSES = "service:vllm_objective_misses:ratio_rate"
FEWEST_REQUESTS = 20
"""In the long window; fewer say nothing about a percentile."""
SPARED = 0.25
"""A budget of 10 % cannot burn 14.4 times as fast: all requests would have to miss, and more. The threshold is never
higher than that a quarter of the promised share still holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnRate:
    factor: float
    long: str
    short: str
    wait: str
    severity: Severity


BURN_RATES = (
    BurnRate(factor=14.4, long="1h", short="5m", wait="2m", severity="critical"),
    BurnRate(factor=6, long="6h", short="30m", wait="15m", severity="critical"),
    BurnRate(factor=3, long="1d", short="2h", wait="1h", severity="warning"),
    BurnRate(factor=1, long="3d", short="6h", wait="3h", severity="warning"),
)
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


def misses(objective: Objective, series: Series) -> Iterator[Record]:
    """The share of requests beyond the bound, over each window; no series while there were no requests."""
    for window in WINDOWS:
        yield Record(
            record=f"{MISSES}{window}",
            query=share_beyond(objective, series, window),
            labels={"objective": objective.name},
        )


def share_beyond(objective: Objective, series: Series, window: str) -> Vector:
    """Requests of all replicas together: a percentile of percentiles would mean nothing."""
    within = series.engine(f"{objective.histogram.metric}_bucket", le=objective.le)
    every = series.engine(f"{objective.histogram.metric}_count")
    return 1 - total(rate(within, window)) / total(rate(every, window))


def burn_alerts(watch: Watch) -> Group:
    alerts = [
        _alert(objective, burn, watch.series)
        for objective in objectives(watch.slo, watch.series.release)
        for burn in BURN_RATES
    ]
    return Group(name=f"{watch.series.name}-objective-alerts", rules=tuple(alerts))


def threshold(objective: Objective, burn: BurnRate) -> float:
    """The share of misses that is too many."""
    return round(min(burn.factor * objective.budget, 1 - SPARED * objective.percentile / 100), 6)


def _alert(objective: Objective, burn: BurnRate, series: Series) -> Alert:
    limit = threshold(objective, burn)
    long, short = (
        series.recorded(f"{MISSES}{window}", objective=objective.name).is_above(limit)
        for window in (burn.long, burn.short)
    )
    requests = total(increase(series.engine(f"{objective.histogram.metric}_count"), burn.long))
    bound = format_duration(objective.bound_s)
    return Alert(
        name="VllmObjectiveMissed",
        query=long.where(short).where(requests.is_above(FEWEST_REQUESTS), on=()),
        wait=burn.wait,
        severity=burn.severity,
        summary=f"{{{{ $value | humanizePercentage }}}} of requests miss {objective.metric.upper()} {bound}"
        f" ({objective.budget:.0%} may)",
        meaning=f"Over {burn.long} and over {burn.short}, more than {limit:.0%} of the requests took longer than"
        f" {bound} ({objective.histogram.title.lower()}). The objective allows {objective.budget:.0%}.",
        runbook=_RUNBOOK,
        labels={"objective": objective.name, "window": burn.long},
    )


_RUNBOOK = (
    "See which part of the latency grew: the queue (requests waiting), prefill (TTFT without a queue) or decode (ITL).",
    "A queue: are all desired replicas ready? If the autoscaler is at its maximum, raise scaling.max or shed load;"
    " if replicas are pending or slow to start, follow those alerts.",
    "No queue: compare prompt and output lengths with the plan; longer ones need other flags or another accelerator"
    " (flyball plan with the new workload).",
    "One replica alone is slow: compare it with the others (KV usage, preemptions, GPU clocks, XID); delete its pod.",
)
