"""The page of a proof: the verdict, what it rests on, what a repetition needs. One file, no reference to another."""

from collections.abc import Mapping, Sequence

import yaml

from flyball.local.timeline import FleetEvent
from flyball.measurement import Summary
from flyball.prove.verdict import Proof
from flyball.report.axis import format_clock, format_number
from flyball.report.drawing import figure
from flyball.report.markup import Markup, join, tag
from flyball.report.proof_charts import WINDOW_LEAST, WINDOW_S, happenings, proof_charts
from flyball.report.proof_tables import criteria_table, decisions_table, loads_table, outcome_counts
from flyball.report.style import CHART_STYLE, PAGE_STYLE
from flyball.spec import ServingSpec

_DEFINITIONS = {
    "TTFT": (
        "Time to first token: from the moment a request was meant to arrive to its first output token. An open loop "
        "sends on schedule whether or not answers come back, so a wait in any queue counts, the client's own included."
    ),
    "TPOT": "Time per output token after the first, a mean over one request: (last − first) / (tokens − 1).",
    "ITL": "Inter-token latency: the gaps between chunks of a stream, pooled over requests: long answers weigh more.",
    "E2E": "End to end: from the intended arrival to the last token of an answer that came to its end.",
    "Objective": (
        "The bound on a percentile that the spec sets. Failed requests count as infinitely late in a percentile that "
        "is judged; the other percentiles are of answered requests."
    ),
    "Desired, ready": (
        "Desired is what the HPA law asked for; ready is how many replicas answered their health check and took "
        "requests. The gap is the start-up time."
    ),
    "In the system": "Requests that the engines run or keep waiting, as vLLM's own metrics count them.",
    "HPA law": "The HorizontalPodAutoscaler v2 algorithm of Kubernetes, fed with this fleet's metrics.",
}


def proof_page(proof: Proof) -> str:
    """The whole page as HTML."""
    state = "passed" if _passed(proof) else "failed"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{proof.spec.name}: proof {state}"),
        tag("style", Markup(PAGE_STYLE + CHART_STYLE)),
    )
    body = tag(
        "body",
        _header(proof),
        tag(
            "main", _verdict(proof), _course(proof), _decisions(proof), _loads(proof), _spec(proof.spec), _origin(proof)
        ),
    )
    page = "<!DOCTYPE html>\n" + tag("html", head, body, lang="en") + "\n"
    return page.encode(
        errors="replace"
    ).decode()  # a model's answer may hold half a surrogate pair, which no file takes


def verdict_sentence(proof: Proof) -> str:
    """Passed or failed, in a few words with the count."""
    criteria = proof.verdict.criteria
    held = sum(criterion.passed is True for criterion in criteria)
    if not criteria:
        return "Failed: the run ended before the first criterion"
    if _passed(proof):
        return f"Passed: all {held} criteria hold"
    parts = [f"{held} of {len(criteria)} criteria hold"]
    for passed, words in ((False, ("does not", "do not")), (None, ("was not reached", "were not reached"))):
        numbers = [str(criterion.number) for criterion in criteria if criterion.passed is passed]
        if numbers:
            one = len(numbers) == 1
            parts.append(f"{'criterion' if one else 'criteria'} {', '.join(numbers)} {words[0] if one else words[1]}")
    return f"Failed: {'; '.join(parts)}"


def _passed(proof: Proof) -> bool:
    """A proof of nothing has not passed."""
    return proof.verdict.passed and bool(proof.verdict.criteria)


def _header(proof: Proof) -> Markup:
    started = proof.provenance.get("started", "")
    about = " · ".join(part for part in ("flyball prove", proof.spec.name, proof.spec.model.id, started) if part)
    tone = "yes" if _passed(proof) else "no"
    word, _, rest = verdict_sentence(proof).partition(":")
    return tag(
        "header",
        tag("p", about, class_="kicker"),
        tag("h1", tag("span", word, class_=tone), f":{rest}"),
        tag("p", _story(proof), class_="lead"),
    )


def _story(proof: Proof) -> str:
    """What happened, in the numbers that matter; of a number that is missing nothing is said."""
    found = {criterion.number: criterion.numbers for criterion in proof.verdict.criteria}
    expected = proof.spec.prove.replicas or proof.spec.scaling.max
    clocks, regained, back, kill = (found.get(number, {}) for number in (4, 5, 6, 7))
    course = [
        _timed("scale-out decided {} after the step", clocks, "decided_s", "step_s"),
        _timed(f"{_replicas(expected)} ready after {{}}", clocks, "ready_s", "step_s"),
        _timed("the objective held again from {} after that", regained, "regained_after_s"),
        _timed(f"back at {_replicas(proof.spec.scaling.min)} {{}} after the load ended", back, "back_after_s"),
    ]
    story = ", ".join(part for part in course if part)
    records = [record for load in proof.loads for record in load.records]
    ends = f"{len(records):,} requests: {', '.join(outcome_counts(Summary.of(records)))}"
    if isinstance(back.get("broken"), int) and isinstance(kill.get("retries"), int):
        ends += f"; {back['broken']} streams broken by scaling, {kill['retries']} requests moved unseen after the kill"
    return f"{story[0].upper()}{story[1:]}. {ends}." if story else f"{ends}."


def _replicas(count: int) -> str:
    return f"{count} replica" if count == 1 else f"{count} replicas"


def _timed(text: str, numbers: Mapping[str, float | int | str | None], at: str, since: str | None = None) -> str:
    when, start = numbers.get(at), 0.0 if since is None else numbers.get(since)
    if not isinstance(when, int | float) or not isinstance(start, int | float):
        return ""
    return text.format(f"{when - start:.0f} s")


def _verdict(proof: Proof) -> Markup:
    return tag("section", tag("h2", "Criteria"), criteria_table(proof.verdict.criteria))


def _course(proof: Proof) -> Markup:
    return tag(
        "section",
        tag("h2", "Course of the run"),
        _event_list(proof.timeline.events),
        (figure(chart) for chart in proof_charts(proof)),
        tag(
            "p",
            f"TTFT: one shape a request, at its intended arrival; without a first token, at the upper edge. The line: "
            f"the p95 of the requests due in each {WINDOW_S:.0f} s, where they are at least {WINDOW_LEAST}; failed "
            "ones count as infinitely late, which can take it to the upper edge too.",
            class_="note",
        ),
    )


def _event_list(events: Sequence[FleetEvent]) -> Markup:
    """The legend of the numbered marks."""
    items = (
        tag(
            "li",
            tag("b", str(happening.number)),
            tag("time", format_clock(happening.t_s)),
            tag("span", happening.text, class_="red-text" if happening.tone == "red" else None),
        )
        for happening in happenings(events)
    )
    return tag("ol", items, class_="events")


def _decisions(proof: Proof) -> Markup:
    scaling = proof.spec.scaling
    law = (
        f"The signal is {scaling.signal}, summed over the replicas; the aim is {format_number(proof.signal_target)} a "
        f"replica, between {scaling.min} and {scaling.max}. Of {len(proof.timeline.syncs):,} syncs these had an effect:"
    )
    return tag(
        "section",
        tag("h2", "Decisions of the HPA law"),
        tag("p", law, class_="note"),
        decisions_table(proof.timeline.syncs),
    )


def _loads(proof: Proof) -> Markup:
    about = (
        "✗ marks what misses the objective, “failed” a percentile that lies among failed requests. Only the baseline "
        "has to hold throughout: the step outgrows one replica on purpose, the burst all of them; see criterion 5."
    )
    return tag("section", tag("h2", "Loads"), tag("p", about, class_="note"), loads_table(proof.loads, proof.spec.slo))


def _spec(spec: ServingSpec) -> Markup:
    return tag(
        "section",
        tag("h2", "Spec"),
        tag("pre", _yaml(spec.model_dump(mode="json", exclude_unset=True))),
        tag("details", tag("summary", "with every default"), tag("pre", _yaml(spec.model_dump(mode="json")))),
    )


def _yaml(document: object) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)


def _origin(proof: Proof) -> Markup:
    return join(
        tag("section", tag("h2", "Provenance"), _pairs(proof.provenance)),
        tag("section", tag("h2", "Definitions"), _pairs(_DEFINITIONS)),
    )


def _pairs(pairs: Mapping[str, str]) -> Markup:
    return tag("dl", ((tag("dt", name), tag("dd", text)) for name, text in pairs.items()))
