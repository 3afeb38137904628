"""The page of a search: what was chosen, goodput against rate of every trial, what was refused. One file."""

from collections.abc import Mapping

import yaml

from flyball.report.axis import linear_axis
from flyball.report.chart import Chart, Line, Mark, Points, Tone
from flyball.report.drawing import figure
from flyball.report.markup import Markup, join, tag
from flyball.report.style import CHART_STYLE, PAGE_STYLE
from flyball.tune.outcome import Outcome
from flyball.tune.trial import Probe, Trial, crowding, label

_DEFINITIONS = {
    "Goodput": "Requests per second that were answered and met every bound of the objective.",
    "Holds": (
        "The rate at which the objective just holds: between the highest rate at which a sequential test accepted it"
        " and the lowest above at which it did not; ± is one standard deviation."
    ),
    "Predicted": "By the memory and step-time models before the trial, corrected with the loads of earlier trials.",
    "Thrown away": "Loads in which the client itself was late; they count for nothing.",
    "Waited": "Engine and client, ready to run, for a processor: the kernel's count, as a share of all time.",
}
_TONES: tuple[Tone, ...] = ("blue", "violet", "ink")


def tune_page(outcome: Outcome) -> str:
    """The whole page as HTML."""
    spec = outcome.spec
    title = f"{spec.name}: tuned flags"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Markup(PAGE_STYLE + CHART_STYLE)),
    )
    about = " · ".join(("flyball tune", spec.name, spec.model.id, outcome.provenance.get("started", "")))
    header = tag(
        "header",
        tag("p", about, class_="kicker"),
        tag("h1", outcome.sentence[0].upper() + outcome.sentence[1:]),
        tag("p", _effort(outcome), class_="lead"),
        Markup() if outcome.caution is None else tag("p", f"Caution: {outcome.caution}."),
    )
    charts = tag("section", tag("h2", "Goodput against rate"), figure(goodput_chart(outcome)))
    parts = [charts, _trials(outcome), _before_after(outcome), _origin(outcome)]
    body = tag("body", header, tag("main", parts if any(trial.probes for trial in outcome.trials) else parts[1:]))
    return "<!DOCTYPE html>\n" + tag("html", head, body, lang="en") + "\n"


def _effort(outcome: Outcome) -> str:
    thrown = sum(probe.thrown_away for trial in outcome.trials for probe in trial.probes)
    loads = sum(len(trial.probes) for trial in outcome.trials)
    dollars = f", ${outcome.dollars:,.2f}" if outcome.dollars else ""
    ended = f" {outcome.ended[0].upper()}{outcome.ended[1:]}." if outcome.ended else " Interrupted."
    return (
        f"{outcome.starts} engine starts, {loads} loads ({thrown} thrown away), {outcome.elapsed_s / 60:.0f} minutes"
        f"{dollars}.{ended}"
    )


def goodput_chart(outcome: Outcome) -> Chart:
    """Measured points of every trial, the predicted curve of the chosen one and of the start, the chosen point."""
    probes = [probe for trial in outcome.trials for probe in trial.probes]
    chosen = outcome.chosen
    x = linear_axis([probe.rate for probe in probes], label="requests per second", most=10)
    y = linear_axis([probe.goodput for probe in probes], label="goodput")
    top = min(x.high, y.high)
    series: list[Line | Points] = [
        Line(label="every request good", points=[(0.0, 0.0), (top, top)], tone="muted", dashed=True)
    ]
    shown = {trial.number for trial in (chosen, outcome.start) if trial is not None}
    for number in sorted(shown & outcome.curves.keys()):
        tone = _tone(outcome, outcome.trials[number])
        points = [point for point in outcome.curves[number].points if point[0] <= x.high]
        series.append(Line(label=f"trial {number}, predicted", points=points, tone=tone, dashed=True))
    for trial in outcome.trials:
        if trial.probes:
            tone = _tone(outcome, trial)
            series.append(
                Line(label=f"trial {trial.number}: {outcome.distinct(trial)}", points=_goodputs(trial), tone=tone)
            )
    held = [probe for probe in probes if probe.verdict == "held"]
    missed = [probe for probe in probes if probe.verdict == "missed"]
    series.append(Points(label="objective held", points=[_point(probe) for probe in held], tone="green"))
    series.append(Points(label="missed", points=[_point(probe) for probe in missed], tone="red", shape="cross"))
    marks = (
        [] if chosen is None else [Mark(x=chosen.estimate.rate, label="✓", text=outcome.distinct(chosen), tone="green")]
    )
    return Chart(
        title="Requests per second that meet the objective",
        description="Goodput of each load of each trial against its rate, with what the model predicts.",
        x=x,
        y=y,
        series=series,
        marks=marks,
        plot_height=320.0,
    )


def _tone(outcome: Outcome, trial: Trial) -> Tone:
    if trial is outcome.chosen:
        return "green"
    return "orange" if trial is outcome.start else _TONES[trial.number % len(_TONES)]


def _goodputs(trial: Trial) -> list[tuple[float, float | None]]:
    """By rate; the mean where a rate was tried in several rounds."""
    rates = sorted({probe.rate for probe in trial.probes})
    found: list[tuple[float, float | None]] = []
    for rate in rates:
        values = [probe.goodput for probe in trial.probes if probe.rate == rate]
        found.append((rate, sum(values) / len(values)))
    return found


def _point(probe: Probe) -> tuple[float, float, str]:
    return probe.rate, probe.goodput, str(probe)


def _trials(outcome: Outcome) -> Markup:
    heads = ("", "flags", "why", "predicted", "holds", "goodput", "ready after", "")
    rows = (tag("tr", (tag("td", cell) for cell in _row(outcome, trial))) for trial in outcome.trials)
    table = tag("table", tag("thead", tag("tr", (tag("th", head) for head in heads))), tag("tbody", rows))
    shared = tag("p", f"All with {label(outcome.shared)}.") if outcome.shared else Markup()
    return tag("section", tag("h2", "Trials"), shared, tag("div", table, class_="wide"))


def _row(outcome: Outcome, trial: Trial) -> tuple[str, ...]:
    held = trial.estimate.rate > 0
    expected = trial.expected
    remark = "chosen" if trial is outcome.chosen else ""
    if trial.refusal is not None:
        remark = f"{trial.refusal.cause}. {trial.refusal.evidence}".strip()
    elif crowding(trial.waited):
        remark = f"{remark} {crowding(trial.waited)}".strip()
    elif trial.e2e_p95_s is not None:
        remark = f"{remark} E2E p95 {trial.e2e_p95_s * 1000:,.0f} ms".strip()
    return (
        str(trial.number),
        outcome.distinct(trial),
        trial.why,
        "" if expected is None else f"{expected.rate:.3g} ({expected.low:.3g} to {expected.high:.3g})",
        f"{trial.estimate.rate:.3g}/s ± {trial.estimate.error:.1%}" if held else "-",
        f"{trial.goodput:.3g}/s" if held else "-",
        f"{trial.start_s:.0f} s",
        remark,
    )


def _before_after(outcome: Outcome) -> Markup:
    if outcome.chosen is None or outcome.start is None:
        return Markup()
    pairs = {"before": outcome.start, "after": outcome.chosen}
    rows = (
        tag("tr", tag("th", name), tag("td", label(each.flags)), tag("td", f"{each.estimate.rate:.3g} requests/s"))
        for name, each in pairs.items()
    )
    return tag("section", tag("h2", "Before and after"), tag("table", tag("tbody", rows)))


def _origin(outcome: Outcome) -> Markup:
    document = outcome.spec.model_dump(mode="json", exclude_unset=True)
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    return join(
        tag("section", tag("h2", "Spec"), tag("pre", text)),
        tag("section", tag("h2", "Provenance"), _pairs(outcome.provenance)),
        tag("section", tag("h2", "Definitions"), _pairs(_DEFINITIONS)),
    )


def _pairs(pairs: Mapping[str, str]) -> Markup:
    return tag("dl", ((tag("dt", name), tag("dd", text)) for name, text in pairs.items()))
