"""Which calibration to use: the user's, flyball's own, or typical factors that say so."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from functools import cache
from importlib.resources import files
from math import hypot
from typing import Any

from flyball.catalog import Accelerator
from flyball.errors import UsageError
from flyball.perf.architecture import ModelArchitecture
from flyball.perf.architecture_table import builtin_architecture
from flyball.perf.calibration import UNCALIBRATED_ERROR, Calibration
from flyball.perf.cpu import CPU, CPU_EFFICIENCY
from flyball.perf.efficiency import Efficiency
from flyball.perf.memory_release import version_number

OTHER_MODEL_ERROR = 0.15
"""Of TPOT for a model that was not fitted: what half of those left out one by one stay within (docs/accuracy.md)."""
OTHER_MODEL_TTFT_ERROR = 0.2


def calibration_for(
    accelerator: Accelerator, version: str, own: Sequence[Calibration] = (), *, model: ModelArchitecture | None = None
) -> Calibration:
    """Of the nearest vLLM version, newer ones last; the user's `own` before flyball's; typical factors without any.

    Expected errors are those for `model`: larger ones where none of its shape was fitted.
    """
    found = _nearest(accelerator, version, own)
    if model is None or not found.calibrated or any(_has_shape(name, model) for name in found.models):
        return found
    return replace(
        found,
        error=hypot(found.error, OTHER_MODEL_ERROR),
        ttft_error=hypot(found.ttft_error, OTHER_MODEL_TTFT_ERROR),
    )


def _has_shape(name: str, model: ModelArchitecture) -> bool:
    """Whether a model that was measured runs as `model` does: an instruct model as the base model that it came from."""
    measured = builtin_architecture(name)
    return name == model.name or (measured is not None and _shape(measured) == _shape(model))


def _shape(model: ModelArchitecture) -> tuple[object, ...]:
    return model.hidden_size, model.num_hidden_layers, model.intermediate_size, model.vocab_size, model.experts


def _nearest(accelerator: Accelerator, version: str, own: Sequence[Calibration]) -> Calibration:
    wanted = version_number(version)

    def distance(calibration: Calibration) -> tuple[bool, int]:
        have = version_number(calibration.version)
        return have > wanted, abs((have[0] - wanted[0]) * 1000 + have[1] - wanted[1])

    for known in (own, shipped_calibrations()):
        fitting = [each for each in known if each.accelerator == accelerator.name]
        if fitting:
            return min(fitting, key=distance)
    return Calibration(
        accelerator=accelerator.name,
        version=version,
        models=(),
        efficiency=CPU_EFFICIENCY if accelerator.device_name == CPU else Efficiency(),
        error=UNCALIBRATED_ERROR,
        ttft_error=UNCALIBRATED_ERROR,
        loads=0,
        source=f"{accelerator.name} is not calibrated: its data sheet, with factors typical of other chips",
        as_of="",
    )


@cache
def shipped_calibrations() -> tuple[Calibration, ...]:
    text = (files("flyball.perf") / "data" / "calibrations.json").read_text(encoding="utf-8")
    return tuple(calibrations_from_json(text, source="flyball's own calibrations"))


def calibrations_from_json(text: str, *, source: str) -> list[Calibration]:
    """UsageError if `text` is not what `calibrations_to_json` writes."""
    try:
        return [_calibration(row) for row in json.loads(text)["calibrations"]]
    except (ValueError, TypeError, KeyError) as error:
        what = f"{source}: not a file of calibrations: {error!r}"
        raise UsageError(what, fix="name a file that `flyball calibrate --save` wrote, or remove it") from None


def calibrations_to_json(calibrations: Iterable[Calibration]) -> str:
    rows = [asdict(calibration) for calibration in calibrations]
    for row in rows:
        row["efficiency"] = {name: float(f"{value:.4g}") for name, value in row["efficiency"].items()}
        row["error"], row["ttft_error"] = round(row["error"], 3), round(row["ttft_error"], 3)
    return json.dumps({"calibrations": rows}, indent=2) + "\n"


def replaced(calibrations: Iterable[Calibration], new: Calibration) -> list[Calibration]:
    """With `new` in the place of any other for the same accelerator and version."""
    key = (new.accelerator, new.version)
    return [*(each for each in calibrations if (each.accelerator, each.version) != key), new]


def _calibration(row: dict[str, Any]) -> Calibration:
    fields = {**row, "efficiency": Efficiency(**row["efficiency"]), "models": tuple(row["models"])}
    return Calibration(**fields)
