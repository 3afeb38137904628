"""From text to a spec, or to one line per mistake: the key path, what is wrong, what to write instead."""

import difflib
from collections.abc import Hashable
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from flyball.errors import UsageError
from flyball.spec.quantities import FROM_FILE

Model = TypeVar("Model", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key given twice, where the plain loader would drop the first silently."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key_node.start_mark)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is given twice", key_node.start_mark)
        seen.add(key)
    loader.flatten_mapping(node)  # merged keys come first, so that the mapping's own take their place
    return {
        loader.construct_object(key, deep=True): loader.construct_object(value, deep=True) for key, value in node.value
    }


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def parse_yaml(text: str, *, source: str) -> Any:
    """The document in `text`. `source` names the file in errors. Raises UsageError."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UsageError(f"{source}:{where} is not valid YAML: {error.problem}", fix="mend the YAML there") from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{source} is not readable as YAML: {reason}", fix="save it as UTF-8 text") from error
    except RecursionError:
        raise UsageError(f"{source} is nested too deeply to be a spec", fix="is it the right file?") from None


def parse_model(model: type[Model], text: str, *, source: str) -> Model:
    """The YAML in `text` as `model`. Raises UsageError with every mistake, one a line."""
    document = parse_yaml(text, source=source)
    if document is None:
        raise UsageError(f"{source} is empty", fix="`flyball init` writes a commented spec")
    if not isinstance(document, dict):
        raise UsageError(f"{source} does not hold a mapping of keys", fix="`flyball init` writes a commented spec")
    try:
        return model.model_validate(document, context=FROM_FILE)
    except ValidationError as error:
        details = error.errors(include_url=False)
        lines = [_explain(model, detail) for detail in details if not _echo(detail, details)]
        head = f"{source}: {lines[0]}" if len(lines) == 1 else f"{source}: {len(lines)} mistakes"
        fix = "`flyball schema` lists every key" if len(lines) == 1 else "\n  ".join(lines)
        raise UsageError(head, fix=fix) from error


# Pydantic's words for what a YAML file knows under others.
_PLAINLY = {
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of keys",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "invalid_key": "a key must be a word",
}


def _echo(detail: ErrorDetails, details: list[ErrorDetails]) -> bool:
    """Whether a list is called too short only because its items were wrong."""
    place = detail["loc"]
    return detail["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in details
    )


def _explain(model: type[BaseModel], detail: ErrorDetails) -> str:
    # Pydantic adds markers of its own to the path, like "[key]" and "function-after[...]"; the other parts are ours.
    path = [part for part in detail["loc"] if isinstance(part, int) or "[" not in part]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{_key(part)}" for part in path).lstrip(".")
    if detail["type"] == "extra_forbidden":
        known = _keys_at(model, detail["loc"][:-1])
        close = difflib.get_close_matches(str(detail["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(known)}"
        return f"{where}: unknown key; {hint}"
    if detail["type"] == "missing":
        return f"{where}: required, and missing"
    if detail["type"] == "model_type":
        return f"{where}: must be a mapping of keys; known keys: {', '.join(_keys_at(model, detail['loc']))}"
    message = _PLAINLY.get(detail["type"], detail["msg"])
    message = message.removeprefix("Value error, ").replace("Input should be", "must be")
    given = detail["input"]
    shown = f" (got {_as_yaml(given)})" if isinstance(given, str | int | float | bool | type(None)) else ""
    return f"{where or 'spec'}: {message}{'' if message.startswith(repr(given)) else shown}"


def _key(name: str) -> str:
    """A key as it stands in the file; one with line breaks or nothing in it is quoted."""
    return name if name.isprintable() and name.strip() else repr(name)


def _as_yaml(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def _keys_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The keys that the section at `path` knows."""
    current: type[BaseModel] = model
    for part in path:
        field = current.model_fields.get(str(part))
        if field is None:
            continue
        nested = _model_in(field.annotation)
        if nested is not None:
            current = nested
    return list(current.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        nested = _model_in(argument)
        if nested is not None:
            return nested
    return None
