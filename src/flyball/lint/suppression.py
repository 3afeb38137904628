"""What authors silence: `# flyball: ignore[rule] reason` on a line, `flyball.dev/ignore: rule` on an object."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from flyball.lint.finding import Finding, RuleInfo
from flyball.lint.reading import KubernetesObject, SourceDocument

IGNORE_ANNOTATION = "flyball.dev/ignore"

UNKNOWN_SUPPRESSION = RuleInfo(
    id="unknown-suppression",
    severity="warning",
    finds="a comment or annotation that silences a rule which does not exist",
    why="the rule that was meant still fires, or was renamed and is no longer silenced",
    reference="docs/lint.md",
)

_COMMENT = re.compile(r"#\s*flyball:\s*ignore\[(?P<rules>[^\]]*)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """The rules that a comment or an annotation silences, and what it covers."""

    rules: frozenset[str]
    file: str
    line: int
    object: KubernetesObject | None = None
    """None: the findings of this line and, if the comment stands alone on it, of the next."""
    alone: bool = False

    def covers(self, finding: Finding, within: KubernetesObject | None) -> bool:
        if finding.rule not in self.rules or finding.place.file != self.file:
            return False
        if self.object is not None:
            return within is self.object
        return finding.place.line == self.line or (self.alone and finding.place.line == self.line + 1)


def suppressions(documents: Sequence[SourceDocument], objects: Iterable[KubernetesObject]) -> Iterator[Suppression]:
    """What `# flyball: ignore[rule]` comments and `flyball.dev/ignore` annotations silence."""
    for document in documents:
        for number, line in enumerate(document.text.split("\n"), start=1):
            comment = _COMMENT.search(line)
            if comment:
                alone = not line[: comment.start()].strip()
                yield Suppression(rules=rule_ids(comment["rules"]), file=document.name, line=number, alone=alone)
    for each in objects:
        annotation = each.annotation(IGNORE_ANNOTATION)
        if annotation.exists:
            rules = rule_ids(annotation.text)
            yield Suppression(rules=rules, file=each.file, line=annotation.line, object=each)


def rule_ids(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())
