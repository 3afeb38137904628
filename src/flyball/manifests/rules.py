"""Prometheus rules as values: what is recorded, what alerts, and what the person who is woken should do."""

from dataclasses import dataclass, field
from typing import Literal

from flyball.manifests.promql import Vector

Severity = Literal["critical", "warning"]
"""critical: users are affected or will be within minutes, wake somebody. warning: look at it in working hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A recording rule. Its name says level:metric:operation, as Prometheus' practices ask for."""

    record: str
    query: Vector
    labels: dict[str, str] = field(default_factory=dict)
    """Besides those of the service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An alert and its runbook."""

    name: str
    query: Vector
    wait: str
    """How long the condition must hold (Prometheus' `for`)."""
    severity: Severity
    summary: str
    """One line for the pager; Prometheus' templates are allowed."""
    meaning: str
    """What it says about the service and why it is worth an alert."""
    runbook: tuple[str, ...]
    """What to look at and to do, in order."""
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that are evaluated together, in order."""

    name: str
    rules: tuple[Record | Alert, ...]
