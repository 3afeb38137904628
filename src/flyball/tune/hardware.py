"""Which model of speed and memory fits the server that is tuned, and with which flags it starts."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flyball.catalog import DEFAULT_RELEASE, RELEASES, Accelerator, Catalog, release
from flyball.engine import Engine, Machine, ServedModel, replica_max_num_seqs
from flyball.engine.share import replica_cores, workers
from flyball.errors import UsageError
from flyball.perf import Calibration, ModelArchitecture, architecture_from_config, builtin_architecture
from flyball.perf.calibrations import calibration_for
from flyball.perf.cpu import CPU_EFFICIENCY, cpu_accelerator
from flyball.planning import Demand
from flyball.spec import FlagsSpec, FlagValue, ServingSpec
from flyball.tune.prediction import Predictor

CPU_ERROR = 0.6
CPU_BATCHED_TOKENS = 2048
"""A worker's, where nothing is said, in vLLM 0.32.0's CPU build."""

TUNED = tuple(FlagsSpec.model_fields)


def start_flags(spec: ServingSpec, defaults: Mapping[str, FlagValue]) -> dict[str, FlagValue]:
    """The tuned flags as the engine starts now: the spec's, else its defaults."""
    given: dict[str, FlagValue] = dict(spec.engine)
    if spec.model.quantization:
        given["quantization"] = spec.model.quantization
    found = {**defaults, **given}
    wanted = {"max_num_seqs", "max_num_batched_tokens", *spec.tune.flags.model_fields_set}
    unset: dict[str, FlagValue] = {"kv_cache_dtype": "auto"}
    return {name: value for name in TUNED if name in wanted and (value := found.get(name, unset.get(name))) is not None}


def local_defaults(args: Mapping[str, FlagValue], *, engine: Engine, machine: Machine) -> dict[str, FlagValue]:
    """What vLLM takes here for flags that are not given."""
    sequences = replica_max_num_seqs(args, engine=engine, machine=machine)
    if engine.device == "cpu":
        tokens = CPU_BATCHED_TOKENS * workers(args)
    else:
        gpu, version = machine.gpus[0], engine.version if engine.version in RELEASES else DEFAULT_RELEASE
        batch = release(version).batch_defaults(memory_bytes=gpu.memory_bytes, device_name=gpu.name)
        tokens = batch.max_num_batched_tokens
    return {"max_num_seqs": sequences, "max_num_batched_tokens": max(tokens, sequences)}


def local_predictor(
    spec: ServingSpec,
    *,
    engine: Engine,
    machine: Machine,
    model: ServedModel,
    args: Mapping[str, FlagValue],
    demand: Demand,
    catalog: Catalog,
    calibrations: Sequence[Calibration],
) -> Predictor | None:
    """None where the model's architecture or the GPU is unknown: the search then does without."""
    architecture = _architecture(model)
    if architecture is None:
        return None
    fixed = {name: value for name, value in args.items() if name != "model"}
    if engine.device == "cpu":
        chip = cpu_accelerator(len(replica_cores(spec, machine=machine, index=0)))
        return Predictor(
            architecture=architecture, accelerator=chip, version=engine.version, fixed=fixed, demand=demand,
            slo=spec.slo, efficiency=CPU_EFFICIENCY, error=CPU_ERROR,
        )  # fmt: skip
    try:
        chip = catalog.accelerator(machine.gpus[0].name)
    except UsageError:
        return None
    return gpu_predictor(spec, architecture, chip, engine.version, fixed, demand=demand, calibrations=calibrations)


def gpu_predictor(
    spec: ServingSpec,
    architecture: ModelArchitecture,
    chip: Accelerator,
    version: str,
    /,
    fixed: Mapping[str, Any],
    *,
    demand: Demand,
    calibrations: Sequence[Calibration],
) -> Predictor:
    """With the calibration of the nearest version."""
    calibration = calibration_for(chip, version, calibrations)
    return Predictor(
        architecture=architecture,
        accelerator=chip,
        version=version,
        fixed=fixed,
        demand=demand,
        slo=spec.slo,
        efficiency=calibration.efficiency,
        error=calibration.error,
    )


def chip_name(name: str, catalog: Catalog) -> str:
    """By the catalog, else as the driver calls it."""
    try:
        return catalog.accelerator(name).name
    except UsageError:
        return name


def _architecture(model: ServedModel) -> ModelArchitecture | None:
    if not model.is_local:
        return builtin_architecture(model.source)
    try:
        config = json.loads((Path(model.source) / "config.json").read_text(encoding="utf-8"))
        return architecture_from_config(config, name=Path(model.source).name)
    except (OSError, ValueError, UsageError):
        return None
