"""Cost against time to first token, as a page of its own."""

from collections.abc import Callable

from flyball.planning import Candidate, PlanOutcome
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


def plan_page(spec: ServingSpec, outcome: PlanOutcome) -> str:
    """A self-contained HTML page; without a plan it says why there is none."""
    metric, percentile, bound = next(spec.slo.objectives())
    found = [*([outcome.plan.chosen] if outcome.plan else []), *outcome.alternatives]
    priced = [candidate for candidate in found if candidate.tariff.rental.is_priced]
    priced = [each for each in priced if each.peak.cost.usd_per_hour <= _MOST * priced[0].peak.cost.usd_per_hour]
    title = f"{spec.name}: {spec.model.id}"
    parts = [tag("h1", title), tag("p", outcome.verdict, class_="lead")]
    if priced:
        parts.append(figure(_chart(priced, metric, percentile, bound)))
    head = join([tag("meta", charset="utf-8"), tag("title", title), tag("style", Markup(PAGE_STYLE + CHART_STYLE))])
    return "<!doctype html>\n" + tag("html", tag("head", head), tag("body", join(parts)), lang="en")


def _chart(found: list[Candidate], metric: LatencyMetric, percentile: int, bound: float) -> Chart:
    def cost(candidate: Candidate) -> float:
        return candidate.peak.cost.usd_per_hour

    def latency(candidate: Candidate) -> float:
        return candidate.peak.latency.quantiles_s[metric, percentile].value

    def points(those: list[Candidate]) -> list[tuple[float, float, str]]:
        return [
            (cost(each), latency(each), f"{each.label}, {each.tariff.rental.label}: ${cost(each):,.2f}/h,"
             f" {format_seconds(latency(each))}")
            for each in those
        ]  # fmt: skip

    frontier = [each for each in found if not any(_dominates(other, each, cost, latency) for other in found)]
    frontier.sort(key=cost)
    name = f"{metric.upper()} p{percentile} at the peak"
    return Chart(
        title=f"Dollars an hour and {name}",
        description=f"Each candidate's cost at the peak against its {name}; the frontier joins the unbeaten.",
        x=log_axis(map(cost, found), label="dollars an hour at the peak", least=0.01),
        y=linear_axis([*map(latency, found), bound], form=format_latency_tick, label=name),
        series=[
            Line(
                label="frontier", points=[(cost(each), latency(each)) for each in frontier], tone="muted", dashed=True
            ),
            Points(label="alternatives", points=points(found[1:]), tone="blue", shape="ring"),
            Points(label="the plan", points=points(found[:1]), tone="green"),
        ],
        objectives=[Objective(y=bound, label=f"objective {format_seconds(bound)}")],
        plot_height=320.0,
    )


def _dominates(
    one: Candidate, other: Candidate, cost: Callable[[Candidate], float], latency: Callable[[Candidate], float]
) -> bool:
    better = cost(one) < cost(other) or latency(one) < latency(other)
    return better and cost(one) <= cost(other) and latency(one) <= latency(other)
