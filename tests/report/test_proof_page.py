import math
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from flyball.local.timeline import FleetEvent, Timeline
from flyball.measurement import RequestRecord
from flyball.prove.verdict import Criterion, Proof, Verdict
from flyball.report import proof_page
from flyball.spec import ServingSpec
from synthetic_proof import synthetic_proof

VOID = {"br", "hr", "meta"}
REFERRING = {"src", "href", "srcset", "action", "data", "poster", "background", "xlink:href"}


class Page(HTMLParser):
    """What a parser that we did not write finds in a page; it refuses tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.counts: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def classes(self, name: str) -> int:
        return sum(name in value.split() for _, key, value in self.attributes if key == "class")


@pytest.fixture(scope="module")
def proof() -> Proof:
    return synthetic_proof()


@pytest.fixture(scope="module")
def page(proof: Proof) -> str:
    return proof_page(proof)


def _requests(count: int, **changed: object) -> tuple[RequestRecord, ...]:
    """Requests evenly over seven minutes, with many different TTFTs."""
    records = []
    for index in range(count):
        at = index * 420 / count
        fields: dict[str, Any] = {"outcome": "ok", "first_token_s": at + 0.1 + index % 997 / 500} | changed
        records.append(
            RequestRecord(index=index, intended_s=at, sent_s=at, end_s=at + 9, requested_output_tokens=9, **fields)
        )
    return tuple(records)


def test_the_page_is_whole_html(page: str) -> None:
    """Every tag is closed in its order; there is a language, a title, and a verdict as the only top heading."""
    found = Page(page)

    assert page.startswith("<!DOCTYPE html>")
    assert ("html", "lang", "en") in found.attributes
    assert found.counts["h1"] == found.counts["html"] == found.counts["body"] == 1
    assert "local: proof passed" in found.text


def test_the_page_needs_nothing_else(page: str) -> None:
    """No script, no link, no image, no address: only the name of the SVG vocabulary."""
    found = Page(page)

    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(found.counts)
    assert not [name for _, name, _ in found.attributes if name in REFERRING or name.startswith("on")]
    shown = re.sub(r"<pre>.*?</pre>", "", page, flags=re.DOTALL)  # the spec, which may hold an address of its user's
    assert set(re.findall(r"https?://[^\"'\s<]+", shown)) == {"http://www.w3.org/2000/svg"}
    assert "url(" not in page
    assert "@import" not in page


def test_every_criterion_stands_in_the_page(page: str, proof: Proof) -> None:
    """Number, title, verdict and finding of each."""
    found = Page(page)

    for criterion in proof.verdict.criteria:
        assert {str(criterion.number), criterion.title, criterion.finding} <= set(found.text)
    assert found.text.count("✓ yes") == 8
    assert ": all 8 criteria hold" in found.text


def test_the_verdict_counts_what_failed(proof: Proof) -> None:
    """A failed proof says so at the top, with the numbers of what failed and what was not reached."""
    criteria = list(proof.verdict.criteria)
    criteria[4] = replace(criteria[4], passed=False)
    criteria[6] = replace(criteria[6], passed=None, finding="not reached", numbers={})
    found = Page(proof_page(replace(proof, verdict=Verdict(criteria=tuple(criteria)))))

    assert "local: proof failed" in found.text
    assert ": 6 of 8 criteria hold; criterion 5 does not; criterion 7 was not reached" in found.text
    assert (found.text.count("✗ no"), found.text.count("not reached")) == (1, 2)


def test_the_lead_tells_the_numbers_of_the_criteria(page: str, proof: Proof) -> None:
    """The two clocks, the regained objective and the way back are those that were judged."""
    numbers = {criterion.number: criterion.numbers for criterion in proof.verdict.criteria}
    step, decided, ready = (float(numbers[4][key] or 0) for key in ("step_s", "decided_s", "ready_s"))
    total = sum(len(load.records) for load in proof.loads)

    assert (
        f"Scale-out decided {decided - step:.0f} s after the step, 3 replicas ready after {ready - step:.0f} s" in page
    )
    assert f"back at 1 replica {numbers[6]['back_after_s']:.0f} s after the load ended. {total} requests: " in page
    assert "; 0 streams broken by scaling, 5 requests moved unseen after the kill." in page


def test_every_decision_that_changed_something_has_a_row(page: str, proof: Proof) -> None:
    """And no other: the table is about changes."""
    changes = [sync.decision for sync in proof.timeline.syncs if sync.decision.desired != sync.decision.current]

    assert len(changes) > 1
    for decision in changes:
        assert f"{decision.current} → {decision.desired}</td>" in page
        assert f"<td>{decision.reason}</td>" in page
    assert len(re.findall(r"\d → \d</td>", page)) == len(changes)


def test_every_load_has_a_row_and_misses_are_marked(page: str, proof: Proof) -> None:
    """The overloaded step missed its objective, the baseline did not."""
    rows = dict(re.findall(r'<tr><th scope="row">([a-z]+)<br>(.*?)</tr>', page))

    assert list(rows) == [load.name for load in proof.loads]
    assert "✗" in rows["step"]
    assert "✗" not in rows["baseline"]
    assert f"{len(proof.loads[0].records)} answered" in rows["baseline"]


def test_four_charts_share_one_time_axis(page: str) -> None:
    """Four figures, whose ticks stand at the same places."""
    figures = re.findall(r"<figure.*?</figure>", page, flags=re.DOTALL)
    ticks = [
        re.findall(r'<text x="([\d.]+)" y="[\d.]+" class="tick middle">(\d+:\d\d)</text>', figure) for figure in figures
    ]

    assert len(figures) == 4
    assert len(ticks[0]) > 3
    assert all(other == ticks[0] for other in ticks)


def test_spec_and_provenance_suffice_for_a_repetition(page: str, proof: Proof) -> None:
    """The spec as YAML that reads back to the same, and every entry of the provenance."""
    found = Page(page)

    for name, value in proof.provenance.items():
        assert {name, value} <= set(found.text)
    assert "slo:\n  ttft: {p95: 4s}\n  tpot: {p95: 400ms}\n" in page


def test_nothing_that_was_measured_becomes_markup(proof: Proof) -> None:
    """A hostile name, answer, log line or version is shown and not run."""
    hostile = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    spec = proof.spec.model_copy(update={"model": proof.spec.model.model_copy(update={"id": hostile})})
    loads = (replace(proof.loads[0], name=hostile, records=_requests(3, outcome="error", error=hostile)),)
    timeline = Timeline(events=[FleetEvent(t_s=1, kind="crashed", text=hostile, replica=hostile)])
    criterion = Criterion(number=1, passed=False, finding=hostile, numbers={})
    found = Page(
        proof_page(
            replace(
                proof, spec=spec, loads=loads, timeline=timeline, verdict=Verdict(criteria=(criterion,)),
                provenance={hostile: hostile},
            )
        )
    )  # fmt: skip

    assert not {"script", "img"} & set(found.counts)
    assert not [name for _, name, _ in found.attributes if name in REFERRING or name.startswith("on")]
    assert sum(hostile in text for text in found.text) >= 9


def test_a_run_that_ended_at_once_has_a_page() -> None:
    """Without a sample, a record, a phase or a criterion the page is still whole, and claims nothing."""
    nothing = Proof(
        spec=ServingSpec.model_validate({"model": {"id": "m"}}), verdict=Verdict(criteria=()), phases=(), loads=(),
        timeline=Timeline(), signal_target=3.0, provenance={},
    )  # fmt: skip
    found = Page(proof_page(nothing))

    assert found.counts["figure"] == 4
    assert found.classes("point") == 0
    assert ": the run ended before the first criterion" in found.text
    assert "chat: proof failed" in found.text
    assert "No decision changed the number of replicas." in found.text


def test_an_objective_without_ttft_draws_no_bound(proof: Proof) -> None:
    """The line of the objective is there only if the spec sets one for TTFT."""
    spec = proof.spec.model_copy(
        update={"slo": ServingSpec.model_validate({"model": {"id": "m"}, "slo": {"e2e": {"p95": 9}}}).slo}
    )

    assert Page(proof_page(replace(proof, spec=spec))).classes("objective") == 0
    assert Page(proof_page(proof)).classes("objective") == 2


def test_failures_that_reach_the_percentile_are_said_not_computed(proof: Proof) -> None:
    """Infinity is no latency to print."""
    failed = replace(proof.loads[0], records=_requests(8, outcome="rejected", first_token_s=None))
    page = proof_page(replace(proof, loads=(failed,)))

    assert "failed ✗" in page
    assert "8 rejected" in page
    assert not re.search(r">[^<]*\b(inf|nan)\b", page.split("</style>")[1])


@pytest.mark.parametrize("count", [280, 40_000])
def test_a_page_stays_below_a_megabyte(proof: Proof, count: int) -> None:
    """Seven minutes at a hundred requests a second fit too."""
    load = replace(proof.loads[0], records=_requests(count))

    assert len(proof_page(replace(proof, loads=(load,))).encode()) < 1_000_000


def test_half_a_surrogate_pair_can_be_written(proof: Proof) -> None:
    """A model may answer with text that is not valid Unicode; the page is."""
    criterion = Criterion(number=1, passed=True, finding="\ud83d", numbers={"at": math.inf})

    proof_page(replace(proof, verdict=Verdict(criteria=(criterion,)))).encode("utf-8")
