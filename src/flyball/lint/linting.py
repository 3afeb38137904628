"""Text in, findings out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from flyball.catalog import release
from flyball.lint.finding import SEVERITIES, Finding, Place
from flyball.lint.manifests import LintSettings, Manifests, relate
from flyball.lint.placement import catalog
from flyball.lint.reading import KubernetesObject, SourceDocument, read_objects
from flyball.lint.rule_set import RULE_INFOS, RULES
from flyball.lint.suppression import UNKNOWN_SUPPRESSION, Suppression, suppressions


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

    UsageError only for settings that the catalogue does not know; a document that cannot be read is a finding.
    """
    return list(lint_report(documents, settings).findings)


def lint_report(documents: Sequence[SourceDocument], settings: LintSettings | None = None) -> LintReport:
    """As `lint`, with what was looked at."""
    settings = settings or LintSettings()
    if settings.vllm_version is not None:
        release(settings.vllm_version)
    if settings.accelerator is not None:
        catalog().accelerator(settings.accelerator)
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


def unknown_suppressions(silent: Iterable[Suppression]) -> Iterator[Finding]:
    known = [info.id for info in RULE_INFOS]
    for one in silent:
        for unknown in sorted(one.rules.difference(known)):
            close = get_close_matches(unknown, known, n=1)
            yield UNKNOWN_SUPPRESSION.finding(
                _place(one.object, file=one.file, line=one.line),
                message=f"there is no rule {unknown}",
                evidence=unknown,
                fix=f"did you mean {close[0]}?" if close else "`flyball lint --rules` lists the rules",
            )


def _place(each: KubernetesObject | None, *, file: str, line: int) -> Place:
    if each is None:
        return Place(file=file, line=line)
    return Place(file=file, line=line, kind=each.kind, namespace=each.namespace, name=each.name)
