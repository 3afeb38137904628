"""The events about one object."""

from collections.abc import Sequence

from flyball.cluster.conditions import says
from flyball.cluster.doctor.facts import ClusterFacts
from flyball.cluster.doctor.reading import text
from flyball.cluster.doctor.resource import EVENTS
from flyball.cluster.objects import PlainObject


def events_of(facts: ClusterFacts, kind: str, name: str) -> Sequence[PlainObject]:
    """Oldest first; none if events may not be read."""
    about = [
        event
        for event in facts.of(EVENTS)
        if text(event, "involvedObject", "kind") == kind and text(event, "involvedObject", "name") == name
    ]
    return sorted(about, key=lambda event: text(event, "lastTimestamp") or text(event, "eventTime"))


def last_warning(facts: ClusterFacts, kind: str, name: str) -> str:
    """Reason and message; empty if there is none."""
    warnings = [event for event in events_of(facts, kind, name) if event.get("type") == "Warning"]
    return says(warnings[-1]) if warnings else ""
