"""From text to a spec, or to one line per mistake: the key path, what is wrong, what to write instead."""

import difflib
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
    loader.flatten_mapping(node)
    seen: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is given twice", key_node.start_mark)
        seen[key] = loader.construct_object(value_node, deep=True)
    return seen


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
        raise UsageError(f"{source} is not readable as YAML: {error}", fix="save it as UTF-8 text") from error


def parse_model(model: type[Model], text: str, *, source: str) -> Model:
    """The YAML in `text` as `model`. Raises UsageError with every mistake, one a line."""
    document = parse_yaml(text, source=source)
    if document is None:
        raise UsageError(f"{source} is empty", fix="`flyball init` writes a commented spec")
    if not isinstance(document, dict):
        raise UsageError(
            f"{source} holds a {type(document).__name__}, not a mapping of keys",
            fix="`flyball init` writes a commented spec",
        )
    try:
        return model.model_validate(document, context=FROM_FILE)
    except ValidationError as error:
        lines = [_explain(model, detail) for detail in error.errors(include_url=False)]
        head = f"{source}: {lines[0]}" if len(lines) == 1 else f"{source}: {len(lines)} mistakes"
        fix = "`flyball schema` lists every key" if len(lines) == 1 else "\n  ".join(lines)
        raise UsageError(head, fix=fix) from error


def _explain(model: type[BaseModel], detail: ErrorDetails) -> str:
    # Pydantic adds markers of its own to the path ("function-after[...]", union members); keys and indices are ours.
    path = [part for part in detail["loc"] if isinstance(part, int) or part.isidentifier()]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    if detail["type"] == "extra_forbidden":
        known = _keys_at(model, detail["loc"][:-1])
        close = difflib.get_close_matches(str(detail["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(known)}"
        return f"{where}: unknown key; {hint}"
    if detail["type"] == "missing":
        return f"{where}: required, and missing"
    if detail["type"] == "model_type":
        return f"{where}: must be a mapping of keys; known keys: {', '.join(_keys_at(model, detail['loc']))}"
    message = detail["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    given = detail["input"]
    shown = f" (got {given!r})" if isinstance(given, str | int | float | bool | type(None)) else ""
    return f"{where or 'spec'}: {message}{'' if repr(given) in message else shown}"


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
