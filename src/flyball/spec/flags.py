"""Names and values of vLLM's flags, as the spec holds them."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

_FLAG_NAME = r"[a-z][a-z0-9_]*"


def _flag_name(name: str) -> str:
    if not re.fullmatch(_FLAG_NAME, name):
        raise ValueError(f"spell a flag with underscores: {name.strip('-').replace('-', '_').lower()}")
    return name


def _scalar(value: object) -> object:
    if not isinstance(value, bool | int | float | str):
        raise ValueError("a flag's value must be a number, a string, true or false")
    return value


def pattern(pattern: str) -> WithJsonSchema:
    """A string of this form, for the JSON schema."""
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}$"})


FlagName = Annotated[str, AfterValidator(_flag_name), pattern(_FLAG_NAME)]
"""A vLLM flag, with underscores."""
FlagValue = Annotated[bool | int | float | str, BeforeValidator(_scalar)]
"""The value of one vLLM flag."""
