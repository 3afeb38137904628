"""From untyped data to a pydantic model, or to one line that says where it is wrong."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from flyball.errors import UsageError

Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], value: object, *, where: str, fix: str) -> Model:
    """`value` as `model`. Raises UsageError that names `where` and the path of the first wrong field."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        message = first["msg"].removeprefix("Value error, ")
        raise UsageError(": ".join(part for part in (where, path, message) if part), fix=fix) from error
