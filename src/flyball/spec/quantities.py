"""Field types of the spec: durations and byte quantities, typed as people write them."""

from itertools import pairwise
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from flyball.units import format_duration, parse_bytes, parse_duration

FROM_FILE = {"from_file": True}
"""Validation context of a user's file, where a bare number is refused because its unit would be a guess."""


def _seconds(value: Any, info: ValidationInfo) -> float:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, float | int) and not isinstance(value, bool) and value >= 0 and info.context != FROM_FILE:
        return float(value)
    raise ValueError(f"{value!r} has no unit; write a duration like 200ms, 90s or 2m")


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("must be longer than 0")
    return value


def _byte_count(value: Any) -> int:
    if isinstance(value, str):
        return parse_bytes(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(f"{value!r} is not a quantity of bytes; write it like 24Gi, 512Mi or 10G")


_DURATION_SCHEMA = {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d))+$", "examples": ["200ms", "1m30s"]}

Seconds = Annotated[
    float,
    BeforeValidator(_seconds),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(_DURATION_SCHEMA),
]
"""A duration of at least 0, in seconds once read."""

PositiveSeconds = Annotated[Seconds, AfterValidator(_positive), WithJsonSchema(_DURATION_SCHEMA)]
"""A duration longer than 0, in seconds once read."""

Bytes = Annotated[
    int,
    BeforeValidator(_byte_count),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["24Gi", "512Mi"]}),
]
"""A quantity of bytes."""

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""Requests per second."""


def at_most(seconds: float) -> AfterValidator:
    """An upper bound of a duration, told in the user's units."""

    def check(value: float) -> float:
        if value > seconds:
            raise ValueError(f"must be at most {format_duration(seconds)}")
        return value

    return AfterValidator(check)


class SpecModel(BaseModel):
    """What every section of a user's file shares: unknown keys are refused, values do not change once read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value_by_accident(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML's yes, no, on and off are truth values, which Python would take for the numbers 1 and 0."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("a truth value has no place here (YAML takes yes, no, on and off for one: quote the word)")
        return value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """With the fields' docstrings, and durations as they are written: pydantic has defaults as Python holds them.

        Pydantic's own `use_attribute_docstrings` reads the source whenever a verb starts, a tenth of its start-up.
        """
        document = handler(schema)
        fields = handler.resolve_ref_schema(document).get("properties", {})
        for name, text in _docstrings_of_fields(cls).items():
            fields[name].setdefault("description", text)
        for field in fields.values():
            if field.get("type") == "string" and isinstance(field.get("default"), float):
                field["default"] = format_duration(field["default"])
        return document


def _docstrings_of_fields(model: type[SpecModel]) -> dict[str, str]:
    import ast
    import inspect
    import textwrap

    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, text in pairwise(tree.body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(docstring))):
                found[name] = inspect.cleandoc(docstring)
    return found
