"""Every rule on manifests that break it and on manifests that do not: `data/cases`, edits of the two good sets.

A case names a rule, what to change in a good set (`edit`: text to text, each once), what to add to it, or a manifest of
its own; then what the finding must say. No other rule may fire for the change, except those that `also` names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from flyball.lint import RULES, Finding, SourceDocument, lint

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, kw_only=True)
class Case:
    rule: str
    says: str
    why: str = ""
    base: str = "good"
    edit: Mapping[str, str] = field(default_factory=dict)
    add: str = ""
    manifest: str = ""
    passes: Mapping[str, str] = field(default_factory=dict)
    passes_add: str = ""
    also: tuple[str, ...] = ()
    severity: str = ""
    evidence: str = ""
    line: str = ""
    fix: str = ""
    secret: str = ""


def _cases() -> list[Case]:
    files = sorted((DATA / "cases").glob("*.yaml"))
    rows: list[dict[str, Any]] = [row for file in files for row in yaml.safe_load(file.read_text())]
    return [Case(**row | {"also": tuple(row.get("also", ()))}) for row in rows]


CASES = _cases()


def good_set(name: str) -> str:
    return "\n---\n".join(file.read_text() for file in sorted((DATA / name).glob("*.yaml")))


def edited(name: str, edit: Mapping[str, str], add: str = "") -> str:
    text = good_set(name)
    for old, new in edit.items():
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the {name} set"
        text = text.replace(old, new)
    return f"{text}\n---\n{add}"


def linted(text: str) -> list[Finding]:
    return lint([SourceDocument(name="manifests.yaml", text=text)])


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule} {case.why}".strip())
def test_rule_fires(case: Case) -> None:
    """The broken manifest gives this finding, at the line and with the value that show it, and no other rule fires.

    Every part of it is one line: what is wrong, why it matters, what to do, where that is known from.
    """
    text = case.manifest or edited(case.base, case.edit, case.add)

    findings = linted(text)

    assert {finding.rule for finding in findings} == {case.rule, *case.also}
    found = next(finding for finding in findings if finding.rule == case.rule)
    usual = next(rule.info for rule in RULES if rule.info.id == case.rule)
    assert case.says in found.message
    assert found.severity == (case.severity or usual.severity)
    assert case.line in text.split("\n")[found.place.line - 1]
    assert found.evidence == case.evidence or not case.evidence
    assert case.fix in found.fix
    assert found.place.kind
    assert not case.secret or case.secret not in repr(found)
    parts = [part for each in findings for part in (each.message, each.why, each.fix, each.reference, each.evidence)]
    assert [part for part in parts if not part or "\n" in part] == []


@pytest.mark.parametrize("case", [case for case in CASES if case.passes or case.passes_add], ids=lambda case: case.rule)
def test_rule_passes(case: Case) -> None:
    """What is like the fault but right gives no finding at all."""
    text = edited(case.base, case.passes, case.passes_add)

    assert linted(text) == []


@pytest.mark.parametrize("name", ["good", "good-adapter", "unrelated"])
def test_nothing_to_find(name: str) -> None:
    """Two complete deployments that follow every rule, and objects that have nothing to do with vLLM, are clean."""
    assert linted(good_set(name)) == []


def test_every_rule_has_a_case() -> None:
    """No rule is untested, and there are as many as promised."""
    assert {rule.info.id for rule in RULES} == {case.rule for case in CASES}
    assert len(RULES) >= 40
