"""A proof over time: replicas, requests in the system, TTFT and tokens per second, with what happened marked."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from flyball.local.timeline import EventKind, FleetEvent, Timeline
from flyball.measurement import Outcome, RequestRecord, percentile
from flyball.prove.verdict import Proof
from flyball.report.axis import (
    Axis,
    format_clock,
    format_latency_tick,
    format_number,
    format_seconds,
    linear_axis,
    log_axis,
)
from flyball.report.chart import Band, Chart, Line, Mark, Objective, Points, Tone
from flyball.report.glyphs import Shape

SAME_MOMENT_S = 0.5  # events this close share a mark
WINDOW_S, WINDOW_LEAST = 15.0, 5  # of the p95 over time; a p95 of fewer requests is one request
TOKENS_SPAN_S = 5.0
_SHOWN: dict[EventKind, Tone] = {
    "killed": "red", "crashed": "red", "start-failed": "red", "gateway": "red",
    "scale": "ink", "drain": "blue", "drained": "blue", "ready": "green", "stop": "muted",
}  # fmt: skip
_OUTCOMES: dict[Outcome, tuple[Tone, Shape, str]] = {
    "ok": ("blue", "dot", "answered"),
    "cancelled": ("muted", "ring", "cancelled by the client"),
    "cut": ("orange", "triangle", "cut"),
    "error": ("red", "cross", "unanswered"),
    "timeout": ("red", "square", "timeout"),
    "rejected": ("violet", "diamond", "rejected"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Events of one moment under one number."""

    number: int
    t_s: float
    text: str
    tone: Tone


def happenings(events: Iterable[FleetEvent]) -> list[Happening]:
    """The events worth a mark, in order of time, numbered from 1; those within half a second are one."""
    groups: list[list[FleetEvent]] = []
    for event in sorted((event for event in events if event.kind in _SHOWN), key=lambda event: event.t_s):
        if groups and event.t_s - groups[-1][0].t_s <= SAME_MOMENT_S:
            groups[-1].append(event)
        else:
            groups.append([event])
    return [
        Happening(
            number=number,
            t_s=group[0].t_s,
            text="; ".join(dict.fromkeys(event.text for event in group)),
            tone=next(tone for kind, tone in _SHOWN.items() if any(event.kind == kind for event in group)),
        )
        for number, group in enumerate(groups, start=1)
    ]


def proof_charts(proof: Proof) -> list[Chart]:
    """The four charts, on one time axis; the first carries the names of phases and events, the last the axis' name."""
    x = Axis(low=0.0, high=_end_s(proof), clock=True, form=format_clock)
    charts = [_replicas(proof, x), _in_system(proof, x), _ttft(proof, x), _tokens(proof, x)]
    bands = [Band(low=phase.start_s, high=phase.end_s, label=phase.name) for phase in proof.phases]
    marks = [
        Mark(x=happening.t_s, label=str(happening.number), text=happening.text, tone=happening.tone)
        for happening in happenings(proof.timeline.events)
    ]
    last = len(charts) - 1
    return [
        replace(
            chart,
            bands=bands,
            marks=marks,
            names=index == 0,
            x=replace(x, label="minutes:seconds since the fleet's start") if index == last else x,
        )
        for index, chart in enumerate(charts)
    ]


def window_p95(records: Sequence[RequestRecord]) -> list[tuple[float, float | None]]:
    """TTFT p95 by `WINDOW_S` of intended arrival, failed requests infinitely late; None where there are too few."""
    counted = [record for record in records if record.outcome != "cancelled" or record.ttft_s is not None]
    if not counted:
        return []
    windows: dict[int, list[float]] = {}
    for record in counted:
        late = record.failed or record.ttft_s is None
        windows.setdefault(int(record.intended_s // WINDOW_S), []).append(math.inf if late else record.ttft_s or 0.0)
    points: list[tuple[float, float | None]] = []
    for window in range(min(windows), max(windows) + 1):
        values = sorted(windows.get(window, []))
        points.append((window * WINDOW_S, percentile(values, 95) if len(values) >= WINDOW_LEAST else None))
    return [*points, ((max(windows) + 1) * WINDOW_S, None)]


def _end_s(proof: Proof) -> float:
    timeline = proof.timeline
    ends = [phase.end_s for phase in proof.phases]
    ends += [sample.t_s for sample in timeline.samples[-1:]] + [event.t_s for event in timeline.events]
    return max([*ends, *(load.end_s for load in proof.loads), 1.0])


def _replicas(proof: Proof, x: Axis) -> Chart:
    samples = proof.timeline.samples
    desired = [(sample.t_s, float(sample.desired)) for sample in samples]
    # A sample is taken just before its sync, so what the sync changed would show a sample late.
    desired += [(sync.t_s, float(sync.decision.desired)) for sync in proof.timeline.syncs]
    desired.sort(key=lambda point: point[0])
    ready = [(sample.t_s, float(sample.ready)) for sample in samples]
    return Chart(
        title="Replicas",
        description=f"Desired and ready replicas over time; at most {_peak(ready)} ready of {_peak(desired)} desired.",
        x=x,
        y=linear_axis([proof.spec.scaling.max, *(y for _, y in [*desired, *ready])], whole=True),
        series=[
            Line(label="ready", points=ready, tone="green", step=True, area=True),
            Line(label="desired by the HPA law", points=desired, tone="ink", step=True, dashed=True),
        ],
        plot_height=96.0,
    )


def _in_system(proof: Proof, x: Axis) -> Chart:
    samples, target = proof.timeline.samples, proof.signal_target
    running = [(sample.t_s, sample.running) for sample in samples]
    total = [(sample.t_s, sample.in_system) for sample in samples]
    series = [
        Line(label="waiting", points=total, tone="orange", step=True, area=True),
        Line(label="running", points=running, tone="blue", step=True, area=True),
    ]
    signal = proof.spec.scaling.signal
    aim: list[tuple[float, float]] = []
    if signal != "kv":
        aim = [(sample.t_s, target * sample.ready) for sample in samples]
        what = "in the system" if signal == "in_system" else "waiting"
        label = f"aim: {format_number(target)} {what} per ready replica"
        series.append(Line(label=label, points=aim, tone="ink", step=True, dashed=True))
    return Chart(
        title="Requests in the system",
        description=f"Running and waiting requests of all replicas, stacked; at most {_peak(total)} at once.",
        x=x,
        y=linear_axis([y for _, y in [*total, *aim]], whole=True),
        series=series,
    )


def _ttft(proof: Proof, x: Axis) -> Chart:
    records = sorted((record for load in proof.loads for record in load.records), key=lambda record: record.intended_s)
    p95 = window_p95(records)
    clouds = []
    for outcome, (tone, shape, label) in _OUTCOMES.items():
        points = [
            (record.intended_s, math.inf if record.ttft_s is None else record.ttft_s, _told(record))
            for record in records
            if record.outcome == outcome
        ]
        if points:
            clouds.append(Points(label=label, points=points, tone=tone, shape=shape))
    bounds = [(percent, bound) for metric, percent, bound in proof.spec.slo.objectives() if metric == "ttft"]
    values = [record.ttft_s for record in records if record.ttft_s is not None]
    y = log_axis([*values, *(bound for _, bound in bounds)], form=format_latency_tick)
    return Chart(
        title="Time to first token",
        description=(
            f"TTFT of {len(records)} requests at their intended arrival, on a logarithmic axis, with the p95 of every "
            f"{WINDOW_S:.0f} s. Requests without a first token lie at the upper edge."
        ),
        x=x,
        y=y,
        series=[Line(label=f"p95 of each {WINDOW_S:.0f} s", points=p95, tone="ink", step=True), *clouds],
        objectives=[
            Objective(y=bound, label=f"p{percent} ≤ {format_latency_tick(bound)}") for percent, bound in bounds
        ],
        plot_height=190.0,
    )


def _tokens(proof: Proof, x: Axis) -> Chart:
    samples = proof.timeline.samples
    rates: list[tuple[float, float | None]] = []
    first = 0
    for index, sample in enumerate(samples):
        while samples[first].t_s < sample.t_s - TOKENS_SPAN_S:
            first += 1
        recent = Timeline(samples=samples[max(0, first - 1) : index + 1])
        rates.append((sample.t_s, recent.tokens_per_s(TOKENS_SPAN_S)))
    return Chart(
        title="Output tokens per second",
        description=(
            f"Tokens generated per second by all engines, a mean over {TOKENS_SPAN_S:.0f} s; at most {_peak(rates)}."
        ),
        x=x,
        y=linear_axis([rate or 0.0 for _, rate in rates]),
        series=[Line(label=f"generated, mean of {TOKENS_SPAN_S:.0f} s", points=rates, tone="violet", area=True)],
        plot_height=110.0,
    )


def _told(record: RequestRecord) -> str:
    """A request in one line, for its tooltip."""
    token = "no first token" if record.ttft_s is None else f"TTFT {format_seconds(record.ttft_s)}"
    parts = [f"#{record.index} at {format_clock(record.intended_s)}", token, record.outcome]
    if record.output_tokens is not None:
        parts.append(f"{record.output_tokens} tokens")
    if record.error:
        parts.append(record.error[:120])
    return ", ".join(parts)


def _peak(points: Sequence[tuple[float, float | None]]) -> str:
    return format_number(max((y for _, y in points if y is not None), default=0.0))
