"""What `lint` returns: a finding, where it is, how bad it is."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
"""Worst first. An error breaks something known; a warning risks it; information is worth a look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a finding is. Kind, namespace and name are empty if the document is no Kubernetes object."""

    file: str
    line: int
    """From 1; of the nearest thing that is there, if the finding is that something is missing."""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    key_path: str = ""
    """`spec.template.spec.containers[0].args[2]`; names the missing key if the finding is that it is missing."""

    @property
    def object(self) -> str:
        """`Deployment llm/chat`; empty if there is none."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One known way to get it wrong, found."""

    rule: str
    severity: Severity
    place: Place
    message: str
    """What is wrong here, with its numbers, in one line."""
    evidence: str
    """The value that shows it, as it stands in the manifest; `(missing)` if nothing stands there."""
    why: str
    """What happens because of it."""
    fix: str
    """What to write instead."""
    reference: str
    """Where this is known from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleInfo:
    """What all findings of one rule have in common."""

    id: str
    severity: Severity
    finds: str
    """What it looks for, as a noun phrase."""
    why: str
    """What happens because of it, in a sentence."""
    reference: str

    def finding(
        self, place: Place, *, message: str, evidence: str, fix: str, severity: Severity | None = None
    ) -> Finding:
        return Finding(
            rule=self.id,
            severity=severity or self.severity,
            place=place,
            message=message,
            evidence=evidence,
            why=self.why,
            fix=fix,
            reference=self.reference,
        )
