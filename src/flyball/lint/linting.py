"""Text in, findings out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from flyball.catalog import release
from flyball.lint.finding import SEVERITIES, Finding, Place
from flyball.lint.manifests import LintSettings, Manifests, relate
from flyball.lint.reading import READING_RULES, KubernetesObject, SourceDocument, read_objects
from flyball.lint.rule_set import RULES
from flyball.lint.suppression import Suppression, suppressions

UNKNOWN_SUPPRESSION = "unknown-suppression"


@dataclass(frozen=True, slots=True, kw_only=True)
class LintReport:
    """What linting found, and what it looked at."""

    findings: tuple[Finding, ...]
    """By file and line, worst first on a line."""
    manifests: Manifests
    has_broken_documents: bool
    suppressed: int
    """Findings that comments or annotations silenced."""


def lint(documents: Sequence[SourceDocument], settings: LintSettings | None = None) -> list[Finding]:
    """The findings of all rules over everything in `documents` together, less what the documents silence.

    UsageError only for a `settings.vllm_version` that the catalogue does not know; a document that cannot be read is
    a finding.
    """
    return list(lint_report(documents, settings).findings)


def lint_report(documents: Sequence[SourceDocument], settings: LintSettings | None = None) -> LintReport:
    """As `lint`, with what was looked at."""
    settings = settings or LintSettings()
    if settings.vllm_version is not None:
        release(settings.vllm_version)
    reading = read_objects(documents)
    manifests = relate(reading.objects, settings)
    silent = list(suppressions(documents, reading.objects))
    found = dict.fromkeys(located for rule in RULES for located in rule.check(manifests))
    kept = [each.finding for each in found if not any(one.covers(each.finding, each.object) for one in silent)]
    findings = [*reading.findings, *kept, *unknown_suppressions(silent)]
    return LintReport(
        findings=tuple(sorted(findings, key=_order)),
        manifests=manifests,
        has_broken_documents=reading.is_broken,
        suppressed=len(found) - len(kept),
    )


def _order(finding: Finding) -> tuple[str, int, int, str, str]:
    place = finding.place
    return place.file, place.line, SEVERITIES.index(finding.severity), finding.rule, finding.message


def rule_ids() -> frozenset[str]:
    return frozenset({rule.id for rule in RULES} | {each[0] for each in READING_RULES} | {UNKNOWN_SUPPRESSION})


def unknown_suppressions(silent: Iterable[Suppression]) -> Iterator[Finding]:
    known = rule_ids()
    for one in silent:
        for unknown in sorted(one.rules - known):
            close = get_close_matches(unknown, known, n=1)
            yield Finding(
                rule=UNKNOWN_SUPPRESSION,
                severity="warning",
                place=_place(one.object, file=one.file, line=one.line),
                message=f"there is no rule {unknown}",
                evidence=unknown,
                why="the rule that was meant still fires, or was renamed and is no longer silenced",
                fix=f"did you mean {close[0]}?" if close else "`flyball lint --rules` lists the rules",
                reference="docs/lint.md",
            )


def _place(each: KubernetesObject | None, *, file: str, line: int) -> Place:
    if each is None:
        return Place(file=file, line=line)
    return Place(file=file, line=line, kind=each.kind, namespace=each.namespace, name=each.name)
