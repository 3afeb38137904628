"""Reads values out of a `config.json`; what is missing or of the wrong kind is refused by its key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flyball.errors import UsageError


@dataclass(frozen=True, slots=True)
class ConfigKeys:
    """A section of a configuration. A null is as good as a key that is not there, as it is to vLLM."""

    values: Mapping[str, Any]
    name: str
    """What messages call the model."""

    def given(self, key: str) -> bool:
        return self.values.get(key) is not None

    def count(self, *keys: str, default: int | None = None, least: int = 1) -> int:
        """The integer under the first of `keys` that is there; UsageError if none is and there is no default."""
        for key in keys:
            value = self.values.get(key)
            if value is not None:
                if isinstance(value, bool) or not isinstance(value, int) or value < least:
                    raise self._wrong(key, f"must be an integer from {least} on")
                return value
        if default is None:
            what = f"{self.name}: config.json lacks {' or '.join(keys)}"
            raise UsageError(what, fix="give the folder of the whole model, or a config.json with this key")
        return default

    def number(self, key: str, default: float) -> float:
        value = self.values.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise self._wrong(key, "must be a number above 0")
        return float(value)

    def flag(self, key: str, default: bool = False) -> bool:
        value = self.values.get(key)
        return default if value is None else bool(value)

    def text(self, key: str) -> str:
        return str(self.values.get(key) or "")

    def items(self, key: str) -> Sequence[Any]:
        value = self.values.get(key)
        if not isinstance(value, list | None):
            raise self._wrong(key, "must be a list")
        return value or ()

    def section(self, key: str) -> "ConfigKeys | None":
        """None where it is missing or empty."""
        value = self.values.get(key)
        if not isinstance(value, dict | None):
            raise self._wrong(key, "must be a mapping")
        return ConfigKeys(value, self.name) if value else None

    def _wrong(self, key: str, wanted: str) -> UsageError:
        value = str(self.values[key])
        shown = value if len(value) < 40 else f"{value[:37]}..."
        return UsageError(f"{self.name}: config.json: {key}: {shown} {wanted}", fix="give the model's own config.json")
