"""Which weights a replica serves, and what they take."""

import json
from dataclasses import dataclass
from pathlib import Path

from flyball.engine.finding import Engine
from flyball.engine.home import SMALL_MODEL_ID
from flyball.errors import OutsideError, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """A model as vLLM's --model takes it."""

    source: str
    """A folder, or a Hugging Face id that vLLM fetches itself."""
    is_local: bool
    is_small: bool = False
    """Whether it is the model that flyball installed."""
    weights_bytes: int = 0
    """Size of the weights on disk; 0 where they are not here."""
    stored_in: str = ""
    """The config's dtype, e.g. `bfloat16`."""


def resolve_model(model_id: str, engine: Engine) -> ServedModel:
    """`model.id` of the spec on this machine. Raises UsageError for a path that is no model folder."""
    if model_id.lower() == SMALL_MODEL_ID.lower():
        if engine.small_model is not None:
            return _local(engine.small_model, is_small=True)
        if engine.device == "cpu":
            raise OutsideError(f"{SMALL_MODEL_ID} is not installed", fix="run `flyball engine install`")
    elif model_id.startswith(("/", ".", "~")):
        return _local(Path(model_id).expanduser())
    return ServedModel(source=model_id, is_local=False)


def _local(folder: Path, *, is_small: bool = False) -> ServedModel:
    if not folder.is_dir():
        raise UsageError(f"model.id: there is no folder {folder}", fix="give a model folder or a Hugging Face id")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        stored_in = str(config.get("dtype") or config.get("torch_dtype") or "")
    except FileNotFoundError:
        raise UsageError(
            f"model.id: {folder} has no config.json", fix="name the folder that holds config.json and the weights"
        ) from None
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(
            f"model.id: {folder / 'config.json'} is no model's configuration: {error}", fix="download the model again"
        ) from error
    files = [*folder.glob("*.safetensors")] or [*folder.glob("*.bin")]
    return ServedModel(
        source=str(folder),
        is_local=True,
        is_small=is_small,
        weights_bytes=sum(file.stat().st_size for file in files),
        stored_in=stored_in,
    )
