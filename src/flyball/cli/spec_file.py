"""Reads the files that users name on the command line."""

from pathlib import Path

from flyball.errors import UsageError
from flyball.spec import ServingSpec, parse_model


def read_text(path: Path) -> str:
    """The text of a user's file. Raises UsageError that says why it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file", fix="check the path; `flyball init` writes a spec") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder, not a file", fix="name the file in it") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text (byte {error.start})", fix="save it as UTF-8") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", fix="check its permissions") from None


def read_spec(path: Path) -> ServingSpec:
    """The spec in `path`; a model path in it is taken relative to the file."""
    spec = parse_model(ServingSpec, read_text(path), source=str(path))
    model = spec.model.id
    if model.startswith((".", "~", "/")):
        folder = (path.parent / Path(model).expanduser()).resolve()
        spec = spec.model_copy(update={"model": spec.model.model_copy(update={"id": str(folder)})})
    return spec
