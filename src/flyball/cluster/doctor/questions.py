"""Which PromQL the doctor asks: the scaling query itself, and for each series in it who has it under which labels."""

import re
from collections.abc import Sequence

from flyball.cluster.doctor.expected import ExpectedService
from flyball.lint.promql import Matcher, Selector

IDENTITY = ("namespace", "pod", "engine")
"""What tells the series of one engine from those of another: `engine` is vLLM's data-parallel rank."""


def selector_text(selector: Selector) -> str:
    inside = ",".join(f"{each.label}{each.operator}{_quoted(each.value)}" for each in selector.matchers)
    return f"{selector.name}{{{inside}}}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def spread(selector: Selector) -> str:
    """The number of series of that name, by the labels that the selector asks for."""
    return f"count by ({', '.join(dict.fromkeys(each.label for each in selector.matchers))}) ({selector.name})"


def coverage(selector: Selector) -> str:
    """The number of series that the selector matches, by engine: 1 each, or something is counted twice."""
    return f"count by ({', '.join(IDENTITY)}) ({selector_text(selector)})"


def dcgm_query(fields: Sequence[str]) -> str:
    """The number of series of each field."""
    return f'count by (__name__) ({{__name__=~"{"|".join(fields)}"}})'


def questions(expected: ExpectedService) -> Sequence[str]:
    """Everything to ask Prometheus, each question once."""
    asked = []
    for query in expected.queries:
        asked.append(query.query)
        for selector in query.selectors:
            asked += [spread(selector), coverage(selector)]
    if expected.dcgm_fields:
        asked.append(dcgm_query(expected.dcgm_fields))
    return tuple(dict.fromkeys(asked))


def matches(matcher: Matcher, value: str) -> bool:
    """As Prometheus matches a label's value: anchored at both ends; a label that is not there is empty."""
    match matcher.operator:
        case "=":
            return value == matcher.value
        case "!=":
            return value != matcher.value
        case "=~":
            return re.fullmatch(matcher.value, value) is not None
    return re.fullmatch(matcher.value, value) is None
