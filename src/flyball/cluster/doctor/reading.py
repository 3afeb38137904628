"""Reading the doctor's objects: lists, tables, quantities and conditions, any of which some cluster lacks."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

from flyball.cluster.objects import PlainObject, dig
from flyball.scaling.quantity import parse_quantity


def rows(each: Any, *path: str) -> Sequence[Any]:
    """The list at a path; empty if there is none."""
    found = dig(each, *path)
    return found if isinstance(found, Sequence) and not isinstance(found, str) else ()


def table(each: Any, *path: str) -> Mapping[str, Any]:
    """The mapping at a path; empty if there is none."""
    found = dig(each, *path)
    return found if isinstance(found, Mapping) else {}


def text(each: Any, *path: str) -> str:
    """The value at a path as text; empty if there is none."""
    found = dig(each, *path)
    return "" if found is None else str(found)


def name(each: PlainObject) -> str:
    return text(each, "metadata", "name")


def namespace(each: PlainObject) -> str:
    return text(each, "metadata", "namespace")


def place(each: PlainObject) -> str:
    """`Pod llm/chat-engine-7f9`, `Node gpu-1`."""
    where = f"{namespace(each)}/{name(each)}" if namespace(each) else name(each)
    return f"{text(each, 'kind')} {where}"


def named(objects: Sequence[PlainObject], wanted: str) -> PlainObject | None:
    return next((each for each in objects if name(each) == wanted), None)


def amount(value: Any) -> Fraction:
    """A quantity; 0 if it is missing or no quantity."""
    try:
        return parse_quantity(value or 0)
    except ValueError:
        return Fraction(0)


def moment(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None


def selects(selector: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    """Whether a LabelSelector matches labels; an empty one matches everything."""
    exact = table(selector, "matchLabels")
    if any(wanted.get(key) != value for key, value in exact.items()):
        return False
    return all(meets(wanted, expression) for expression in rows(selector, "matchExpressions"))


def meets(present: Mapping[str, str], expression: Mapping[str, Any]) -> bool:
    """Whether labels meet one expression of a label selector or of a node affinity."""
    value = present.get(text(expression, "key"))
    values = [str(each) for each in rows(expression, "values")]
    match text(expression, "operator"):
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            if value is None or not value.isdigit() or not values or not values[0].isdigit():
                return False
            return int(value) > int(values[0]) if operator == "Gt" else int(value) < int(values[0])
    return False


def containers(pod: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Of a pod's spec, those that start before the others included."""
    yield from rows(pod, "initContainers")
    yield from rows(pod, "containers")
