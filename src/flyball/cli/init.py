"""`flyball init`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flyball.errors import OutsideError, UsageError
from flyball.spec import TEMPLATE, ServingSpec, parse_model


def init(
    path: Path = Path("flyball.yaml"),
    *,
    model: str = "meta-llama/Llama-3.1-8B-Instruct",
    name: str = "chat",
    force: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Write a commented spec.

    Parameters
    ----------
    path
        Where to write it.
    model
        A Hugging Face id, or a path to a folder with config.json.
    name
        The service's name.
    force
        Overwrite the file if it is there.

    """
    text = TEMPLATE.format(name=name, model=model)
    parse_model(ServingSpec, text, source="the options")
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} is there already", fix="choose another path, or --force to overwrite it") from None
    except OSError as error:
        raise OutsideError(f"cannot write {path}: {error.strerror}", fix="choose another path") from error
    print(path)
