"""The open models that people serve most, so that planning needs no network: their `config.json`, shortened."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from flyball.perf.architecture import ModelArchitecture
from flyball.perf.architecture_config import architecture_from_config


def builtin_architecture(model_id: str) -> ModelArchitecture | None:
    """The architecture of a Hugging Face id in the built-in table, whatever its case; None if it is not there."""
    entry = _entries().get(model_id.lower())
    return architecture_from_config(entry["config"], name=model_id) if entry else None


def builtin_models() -> Mapping[str, int]:
    """Every id of the table with its published number of parameters; a quantised one has its original's."""
    return {entry["id"]: entry["parameters"] for entry in _entries().values()}


@cache
def _entries() -> Mapping[str, Mapping[str, Any]]:
    """By lower-case id: `id`, `parameters` and `config`, those of a family's quantised checkpoints included."""
    text = (files("flyball.perf") / "architecture_data" / "models.json").read_text(encoding="utf-8")
    table = json.loads(text)
    found = {}
    for model in table["models"]:
        quantized = model.get("quantized", {})
        schemes: list[tuple[Mapping[str, Any], list[str]]] = [({}, model["ids"])]
        schemes += [({"quantization_config": table["quantizations"][name]}, quantized[name]) for name in quantized]
        for scheme, ids in schemes:
            config = {**model["config"], **scheme}
            for each in ids:
                found[each.lower()] = {"id": each, "parameters": model["parameters"], "config": config}
    return found
