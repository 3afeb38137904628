"""Cost against time to first token, as a page of its own."""

from collections.abc import Callable
from math import isfinite

from flyball.planning import Candidate, Estimate, PlanOutcome
from flyball.report import (
    CHART_STYLE,
    PAGE_STYLE,
    Chart,
    Line,
    Markup,
    Objective,
    Points,
    figure,
    format_latency_tick,
    format_seconds,
    join,
    linear_axis,
    log_axis,
    tag,
)
from flyball.spec import LatencyMetric, ServingSpec

_MOST = 10.0  # times the plan's cost; what is dearer would squeeze the rest into a corner
_HEADS = ("", "replica", "machine", "capacity", "$/h typical", "$/h peak")


def plan_page(spec: ServingSpec, outcome: PlanOutcome) -> str:
    """A self-contained HTML page; without a plan it says why there is none."""
    metric, percentile, bound = next(spec.slo.objectives())
    found = [*([outcome.plan.chosen] if outcome.plan else []), *outcome.alternatives]
    priced = [candidate for candidate in found if candidate.tariff.rental.is_priced]
    priced = [each for each in priced if _dollars(each) <= _MOST * _dollars(priced[0])]
    title = f"{spec.name}: {spec.model.id}"
    parts = [tag("h1", title), tag("p", outcome.verdict, class_="lead"), tag("p", outcome.scope, class_="note")]
    if priced:
        name = f"{metric.upper()} p{percentile} at the peak"
        parts.append(figure(_chart(priced, metric, percentile, bound, name)))
        parts.append(_key(priced, metric, percentile, name))
    elif found:
        parts.append(tag("p", "No price of these machines is known, so there is no cost to draw.", class_="note"))
    head = join([tag("meta", charset="utf-8"), tag("title", title), tag("style", Markup(PAGE_STYLE + CHART_STYLE))])
    return "<!doctype html>\n" + tag("html", tag("head", head), tag("body", join(parts)), lang="en")


def _dollars(candidate: Candidate) -> float:
    """What candidates are ranked by."""
    return candidate.typical.cost.usd_per_hour


def _chart(found: list[Candidate], metric: LatencyMetric, percentile: int, bound: float, name: str) -> Chart:
    def estimate(candidate: Candidate) -> Estimate:
        return candidate.peak.latency.quantiles_s[metric, percentile]

    def latency(candidate: Candidate) -> float:
        return estimate(candidate).value

    def points(those: list[Candidate]) -> list[tuple[float, float, str]]:
        return [
            (_dollars(each), latency(each), f"{each.label}, {each.tariff.rental.label}: ${_dollars(each):,.2f}/h,"
             f" {format_seconds(latency(each))}")
            for each in those
        ]  # fmt: skip

    frontier = [each for each in found if not any(_dominates(other, each, _dollars, latency) for other in found)]
    frontier.sort(key=_dollars)
    # One line with gaps: upright from the low end of each interval to its high end.
    spans = [
        (_dollars(each), seconds)
        for each in sorted(found, key=_dollars)
        for seconds in (estimate(each).low, estimate(each).high, None)
    ]
    y = linear_axis([*map(latency, found), 1.2 * bound], form=format_latency_tick, label=name)
    return Chart(
        title=f"Dollars an hour and {name}",
        description=f"Each candidate's cost at typical traffic against its {name}; the frontier joins the unbeaten.",
        x=log_axis(map(_dollars, found), label="dollars an hour at typical traffic", least=0.01),
        y=y,
        series=[
            Line(label="interval", points=spans, tone="muted"),
            Line(
                label="frontier", points=[(_dollars(each), latency(each)) for each in frontier], tone="ink", dashed=True
            ),
            Points(label="the plan", points=points(found[:1]), tone="green", names=["1"]),
            Points(
                label="alternatives",
                points=points(found[1:]),
                tone="blue",
                shape="ring",
                names=[str(number) for number in range(2, len(found) + 1)],
            ),
        ],
        objectives=[Objective(y=bound, label=f"objective {format_seconds(bound)}")],
        plot_height=320.0,
    )


def _key(found: list[Candidate], metric: LatencyMetric, percentile: int, name: str) -> Markup:
    """What the numbers in the chart stand for."""

    def row(number: int, each: Candidate) -> Markup:
        estimate = each.peak.latency.quantiles_s[metric, percentile]
        high = format_seconds(estimate.high) if isfinite(estimate.high) else "?"
        cells = (
            each.label,
            each.tariff.rental.label,
            "on demand" if each.tariff.on_demand_floor is None else f"spot above {each.tariff.on_demand_floor}",
            f"{each.typical.cost.usd_per_hour:,.2f}",
            f"{each.peak.cost.usd_per_hour:,.2f}",
            f"{format_seconds(estimate.value)} ({format_seconds(estimate.low)} to {high})",
        )
        return tag("tr", tag("th", str(number)), (tag("td", cell) for cell in cells))

    heads = tag("thead", tag("tr", (tag("th", head) for head in (*_HEADS, name))))
    return tag("table", heads, tag("tbody", (row(number, each) for number, each in enumerate(found, 1))))


def _dominates(
    one: Candidate, other: Candidate, cost: Callable[[Candidate], float], latency: Callable[[Candidate], float]
) -> bool:
    better = cost(one) < cost(other) or latency(one) < latency(other)
    return better and cost(one) <= cost(other) and latency(one) <= latency(other)
