"""Every engine that could be planned for: chips, their number, quantisation, flags; and those that do not start."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from flyball.catalog import Catalog, EngineRelease
from flyball.errors import UsageError
from flyball.perf import ModelArchitecture
from flyball.planning.candidate import Rejection
from flyball.planning.configuration import LONG_STEP, SHORT_STEP, TENSOR_PARALLEL_SIZES, Configuration
from flyball.planning.demand import Demand
from flyball.planning.rental import Rental
from flyball.planning.sizing import Misfit, SizedEngine, sized
from flyball.spec import HardwareSpec, ServingSpec

Engines = list[tuple[Configuration, SizedEngine]]


def given_flags(spec: ServingSpec, release: EngineRelease) -> Mapping[str, Any]:
    """The spec's own flags, checked against the version."""
    given: dict[str, Any] = dict(spec.engine)
    if spec.model.quantization is not None:
        given.setdefault("quantization", spec.model.quantization)
    release.check_args(given)
    for name in ("tensor_parallel_size", "pipeline_parallel_size"):
        if not isinstance(given.get(name, 1), int):
            raise UsageError(f"engine.{name}: {given[name]!r} is not a number of GPUs", fix="for example 2")
    step, sequences = given.get("max_num_batched_tokens"), given.get("max_num_seqs")
    if isinstance(step, int) and isinstance(sequences, int) and step < sequences:
        what = f"engine.max_num_batched_tokens: {step} is below max_num_seqs {sequences}: vLLM does not start so"
        raise UsageError(what, fix="at least a token a step for each sequence")
    if given.get("pipeline_parallel_size", 1) > 1:
        raise UsageError(
            "engine.pipeline_parallel_size: plans know no pipeline parallelism: a replica lies within one machine",
            fix="leave it out; `flyball memory --engine pipeline_parallel_size=2` says whether it would fit",
        )
    return given


def wanted_configurations(
    hardware: HardwareSpec, places: Sequence[Rental], *, catalog: Catalog, given: Mapping[str, Any]
) -> tuple[list[Configuration], list[Rejection]]:
    """Chips by GPUs of a replica, unquantised; and the chips that were asked for, which no machine has so many of."""
    largest: dict[str, int] = {}
    for place in places:
        name = place.machine.accelerator
        largest[name] = max(largest.get(name, 0), place.machine.accelerator_count)
    named = dict.fromkeys(catalog.accelerator(name).name for name in hardware.accelerators)
    sizes = (given["tensor_parallel_size"],) if "tensor_parallel_size" in given else TENSOR_PARALLEL_SIZES
    found, rejections = [], []
    for name in named or largest:
        for size in sizes:
            configuration = Configuration(accelerator=catalog.accelerator(name), tensor_parallel_size=size)
            if size <= largest.get(name, 0):
                found.append(configuration)
            elif size == sizes[0]:
                reason = f"no machine of {hardware.cloud} in the catalog has {size} of it"
                rejections.append(Rejection(configuration=configuration, kind="machine", reason=reason))
    return found, rejections


def engines_that_fit(
    architecture: ModelArchitecture,
    configurations: Iterable[Configuration],
    *,
    given: Mapping[str, Any],
    demand: Demand,
    release: EngineRelease,
) -> tuple[Engines, list[Rejection]]:
    """Each with short steps and with long ones; quantised to fp8 where the weights as they are do not fit."""
    engines: Engines = []
    rejections = []
    for configuration in configurations:
        for variant in _quantizations(configuration, architecture, given):
            engine = sized(architecture, variant, given=given, demand=demand, release=release)
            if isinstance(engine, Misfit):
                rejection = Rejection(
                    configuration=variant, kind=engine.kind, reason=engine.reason, ways_out=engine.ways_out
                )
                rejections.append(rejection)
                continue
            engines.append((variant, engine))
            longer = replace(variant, max_num_batched_tokens=LONG_STEP)
            # Where all that can run at once fits into a short step, a long one is the same.
            most = engine.budget.settings.max_num_seqs * max(demand.traffic.prompt_tokens)
            if "max_num_batched_tokens" not in given and most > SHORT_STEP:
                engine = sized(architecture, longer, given=given, demand=demand, release=release)
                if isinstance(engine, SizedEngine):
                    engines.append((longer, engine))
            break
    return engines, rejections


def _quantizations(
    configuration: Configuration, architecture: ModelArchitecture, given: Mapping[str, Any]
) -> list[Configuration]:
    """As the spec says; else as the checkpoint is, then fp8 if the chip computes in it."""
    if "quantization" in given:
        return [replace(configuration, quantization=str(given["quantization"]))]
    if architecture.quantization is None and configuration.accelerator.supports_fp8:
        return [configuration, replace(configuration, quantization="fp8")]
    return [configuration]
