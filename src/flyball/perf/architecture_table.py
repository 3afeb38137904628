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
    """Every id of the table with its published number of parameters."""
    return {model_id: entry["parameters"] for entry in _table() for model_id in entry["ids"]}


@cache
def _entries() -> Mapping[str, Mapping[str, Any]]:
    return {model_id.lower(): entry for entry in _table() for model_id in entry["ids"]}


@cache
def _table() -> list[Any]:
    text = (files("flyball.perf") / "architecture_data" / "models.json").read_text(encoding="utf-8")
    models: list[Any] = json.loads(text)["models"]
    return models
