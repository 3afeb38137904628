"""`Derived`: a value with the reason for it."""

from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived(Generic[Value]):
    """What was chosen and, in one line with its numbers, why."""

    value: Value
    reason: str


GIVEN = "given in the spec"
