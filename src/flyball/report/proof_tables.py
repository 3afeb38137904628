"""The tables of a proof: criteria, decisions, loads."""

import math
from collections.abc import Iterable

from flyball.local.timeline import Sync
from flyball.measurement import Distribution, ObjectiveResult, Outcome, Summary, objective_results
from flyball.prove.verdict import Criterion, LoadRun
from flyball.report.axis import format_clock, format_latency_tick, format_number, format_seconds
from flyball.report.markup import Markup, join, tag
from flyball.scaling import LimitedBy
from flyball.spec import SLO, LatencyMetric

_LATENCIES = ("ttft", "tpot", "itl", "e2e")
_PERCENTILES = (50, 95, 99)
_OUTCOMES: dict[Outcome, str] = {
    "ok": "answered", "cut": "cut", "error": "unanswered", "timeout": "timed out", "rejected": "rejected",
    "cancelled": "cancelled",
}  # fmt: skip


def criteria_table(criteria: Iterable[Criterion]) -> Markup:
    """Number, title, whether it holds, and the sentence with the numbers."""
    rows = (
        tag(
            "tr",
            tag("td", str(criterion.number), class_="number"),
            tag("th", criterion.title, scope="row"),
            tag("td", _word(criterion.passed)),
            tag("td", criterion.finding),
        )
        for criterion in criteria
    )
    return _table(["#", "Criterion", "Holds", "What was measured"], rows, class_="criteria")


def decisions_table(syncs: Iterable[Sync]) -> Markup:
    """Every sync that changed the number of replicas, with the law's own reason."""
    changes = [sync for sync in syncs if sync.decision.desired != sync.decision.current]
    if not changes:
        return tag("p", "No decision changed the number of replicas.", class_="note")
    rows = (
        tag(
            "tr",
            tag("td", format_clock(sync.t_s), class_="number"),
            tag("td", f"{sync.decision.current} → {sync.decision.desired}", class_="number"),
            tag("td", "–" if sync.signal is None else format_number(sync.signal), class_="number"),
            tag("td", "–" if sync.decision.limited_by is LimitedBy.NONE else sync.decision.limited_by.value),
            tag("td", sync.decision.reason),
        )
        for sync in changes
    )
    return _table(
        ["At", "Replicas", "Signal", "Limited by", "Reason"],
        rows,
        numbers=("At", "Replicas", "Signal"),
        class_="narrow",
    )


def loads_table(loads: Iterable[LoadRun], slo: SLO) -> Markup:
    """Per load: outcomes and the percentiles of each latency, those that miss the objective marked."""
    groups = [
        tag("th", name.upper(), colspan=len(_PERCENTILES), class_="group", scope="colgroup") for name in _LATENCIES
    ]
    percents = [
        tag("th", f"p{percent}", class_="number first" if percent == _PERCENTILES[0] else "number", scope="col")
        for _ in _LATENCIES
        for percent in _PERCENTILES
    ]
    head = join(
        tag("tr", tag("th", colspan=3), groups),
        tag("tr", tag("th", "Load", scope="col"), tag("th", "Requests", scope="col"),
            tag("th", "Tokens/s", class_="number", scope="col"), percents),
    )  # fmt: skip
    bounds = {(metric, percent): bound for metric, percent, bound in slo.objectives()}
    objective = tag(
        "tr",
        tag("th", "objective", colspan=3, scope="row"),
        (
            _cell(f"≤ {format_latency_tick(bound)}" if bound is not None else "", percent)
            for name in _LATENCIES
            for percent, bound in ((percent, _bound(bounds, name, percent)) for percent in _PERCENTILES)
        ),
        class_="bounds",
    )
    body = tag("tbody", objective, (_load_row(load, slo) for load in loads))
    return tag("div", tag("table", tag("thead", head), body, class_="loads"), class_="wide")


def outcome_counts(summary: Summary) -> list[str]:
    """How the requests ended: `203 answered`, `2 cut`."""
    counts = [(summary.outcomes.get(outcome, 0), word) for outcome, word in _OUTCOMES.items()]
    return [f"{count:,} {word}" for count, word in counts if count] or ["none"]


def _load_row(load: LoadRun, slo: SLO) -> Markup:
    summary = Summary.of(load.records)
    judged = {(result.metric, result.percentile): result for result in objective_results(summary, slo)}
    cells = []
    for name in _LATENCIES:
        distribution: Distribution = getattr(summary, name)
        for percent in _PERCENTILES:
            result = next((judged[key] for key in judged if key == (name, percent)), None)
            cells.append(_latency_cell(distribution, percent, result))
    sent = f"{load.concurrency} clients" if load.rate is None else f"{format_number(load.rate)}/s"
    about = tag("span", f"{sent}, {load.end_s - load.start_s:.0f} s", class_="note")
    return tag(
        "tr",
        tag("th", load.name, tag("br"), about, scope="row"),
        tag("td", ((count, tag("br")) for count in outcome_counts(summary)), class_="outcomes"),
        tag("td", format_number(round(summary.output_tokens_per_s, 1)), class_="number"),
        cells,
    )  # fmt: skip


def _latency_cell(distribution: Distribution, percent: int, result: ObjectiveResult | None) -> Markup:
    value: float | None = getattr(distribution, f"p{percent}_s")
    if result is None:
        return _cell("–" if value is None else format_seconds(value), percent)
    measured = result.measured_s
    if measured is None:
        return _cell("–", percent)
    text = "failed" if math.isinf(measured) else format_seconds(measured)
    return _cell(text if result.holds else tag("span", f"{text} ✗", class_="missed"), percent)


def _bound(bounds: dict[tuple[LatencyMetric, int], float], name: str, percent: int) -> float | None:
    return next((bound for key, bound in bounds.items() if key == (name, percent)), None)


def _cell(content: str, percent: int) -> Markup:
    return tag("td", content, class_="number first" if percent == _PERCENTILES[0] else "number")


def _word(passed: bool | None) -> Markup:
    words = {True: ("yes", "✓ yes"), False: ("no", "✗ no"), None: ("open", "not reached")}
    tone, word = words[passed]
    return tag("span", word, class_=f"word {tone}")


def _table(heads: Iterable[str], rows: Iterable[Markup], *, numbers: Iterable[str] = (), **attributes: str) -> Markup:
    right = set(numbers)
    cells = (tag("th", head, scope="col", class_="number" if head in right else None) for head in heads)
    table = tag("table", tag("thead", tag("tr", cells)), tag("tbody", rows), **attributes)
    return tag("div", table, class_="wide")
