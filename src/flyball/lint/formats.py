"""Findings as text for people, as JSON, and as SARIF 2.1.0 for code scanners."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from flyball.lint.finding import Finding, RuleInfo, Severity

SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
MAX_EVIDENCE = 80
"""Characters of a value that a line of text shows."""
_LEVELS: Mapping[Severity, str] = {"error": "error", "warning": "warning", "info": "note"}


def text_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """By file: line, severity and rule, the object; then what is wrong, why it matters, what to do."""
    for file, of_file in groupby(findings, key=lambda finding: finding.place.file):
        yield file
        for finding in of_file:
            place = finding.place
            yield f"  {place.line}: {finding.severity} {finding.rule}: {finding.message}"
            where = " ".join(part for part in (place.object, place.key_path) if part)
            evidence = (
                finding.evidence if len(finding.evidence) <= MAX_EVIDENCE else f"{finding.evidence[:MAX_EVIDENCE]}..."
            )
            yield f"      at   {where}: {evidence}" if where else f"      at   {evidence}"
            yield f"      why  {finding.why}"
            yield f"      fix  {finding.fix}"
        yield ""


def json_row(finding: Finding) -> dict[str, Any]:
    """One flat object."""
    place = finding.place
    return {
        "rule": finding.rule,
        "severity": finding.severity,
        "file": place.file,
        "line": place.line,
        "kind": place.kind,
        "namespace": place.namespace,
        "name": place.name,
        "key_path": place.key_path,
        "message": finding.message,
        "evidence": finding.evidence,
        "why": finding.why,
        "fix": finding.fix,
        "reference": finding.reference,
    }


def sarif(findings: Sequence[Finding], *, rules: Sequence[RuleInfo], version: str) -> dict[str, Any]:
    """A SARIF log with one run. `rules` are all that could have fired; `version` is flyball's own."""
    index = {info.id: position for position, info in enumerate(rules)}
    driver = {
        "name": "flyball lint",
        "version": version,
        "rules": [_descriptor(info) for info in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, index[finding.rule]) for finding in findings],
    }
    return {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}


def _descriptor(info: RuleInfo) -> dict[str, Any]:
    return {
        "id": info.id,
        "shortDescription": {"text": sentence(info.finds)},
        "fullDescription": {"text": f"{sentence(info.finds)} {sentence(info.why)}"},
        "help": {"text": f"{sentence(info.why)} Source: {info.reference}"},
        "defaultConfiguration": {"level": _LEVELS[info.severity]},
    }


def sentence(phrase: str) -> str:
    """With a full stop, and with a capital unless it begins with the name of something."""
    first = phrase.split(maxsplit=1)[0]
    return f"{phrase[:1].upper() if first.isalpha() and first.islower() else phrase[:1]}{phrase[1:]}."


def _result(finding: Finding, rule_index: int) -> dict[str, Any]:
    place = finding.place
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(place.file)},
            "region": {"startLine": place.line},
        }
    }
    if place.kind:
        location["logicalLocations"] = [
            {"name": place.name, "kind": "object", "fullyQualifiedName": f"{place.object}: {place.key_path}"}
        ]
    return {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "level": _LEVELS[finding.severity],
        "message": {"text": f"{sentence(finding.message)} Fix: {finding.fix}"},
        "locations": [location],
        "properties": {"evidence": finding.evidence},
    }


def _uri(file: str) -> str:
    path = PurePath(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())
