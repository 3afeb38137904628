"""The one place that reads flyball's own data files; they ship inside the package and never change while it runs."""

import json
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

_SAFE = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where PyYAML was built with it, as its wheels are: ten times as fast."""


@cache
def package_data(name: str) -> Any:
    """A parsed file of `flyball/catalog/data`, JSON or YAML by its suffix. Callers must not change what they get."""
    text = (files("flyball.catalog") / "data" / name).read_text(encoding="utf-8")
    return json.loads(text) if name.endswith(".json") else yaml.load(text, Loader=_SAFE)
