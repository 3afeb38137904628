"""Reads Prometheus' text exposition format, as vLLM and Envoy print it.

OpenMetrics' additions (exemplars, `# EOF`, `# UNIT`) are passed over.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_SAMPLE = re.compile(
    r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)[ \t]*"
    rf'(?:\{{(?P<labels>(?:[^"}}]|{_QUOTED})*)\}})?[ \t]*'
    r"(?P<value>[^\s{}]+)"
    r"(?:[ \t]+-?[0-9][0-9.eE+]*)?"  # a timestamp
    r"(?:[ \t]+#[ \t].*)?[ \t]*"  # an exemplar
)
_LABEL = re.compile(rf"[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*({_QUOTED})[ \t]*(?:,|$)[ \t]*")
_ESCAPE = re.compile(r'\\([\\n"])')


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One line: a value under a name and labels."""

    name: str
    labels: Mapping[str, str]
    value: float


def parse_exposition(text: str) -> list[Sample]:
    """The samples in `text`, in its order. Raises ValueError with the line that is wrong."""
    samples = []
    # Only \n ends a line: label values may hold what str.splitlines takes for an end.
    for number, line in enumerate(text.split("\n"), start=1):
        stripped = line.strip(" \t\r")
        if not stripped or stripped[0] == "#":
            continue
        match = _SAMPLE.fullmatch(stripped)
        try:
            if match is None:
                raise ValueError("not a sample")
            samples.append(
                Sample(
                    name=match["name"],
                    labels=_labels((match["labels"] or "").strip(" \t")),
                    value=float(match["value"]),
                )
            )
        except ValueError as error:
            raise ValueError(f"metrics line {number}: {error}: {stripped[:120]!r}") from None
    return samples


def _labels(text: str) -> dict[str, str]:
    labels = {}
    at = 0
    while at < len(text):
        match = _LABEL.match(text, at)
        if match is None:
            raise ValueError('labels are not name="value" pairs')
        value = match[2][1:-1]
        if "\\" in value:
            value = _ESCAPE.sub(lambda escape: "\n" if escape[1] == "n" else escape[1], value)
        labels[match[1]] = value
        at = match.end()
    return labels
