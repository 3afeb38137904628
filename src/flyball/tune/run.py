"""A whole session: what is tuned, where, from what knowledge; then the loop, and what it came to."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from flyball.bench import LoadSettings
from flyball.catalog import DEFAULT_RELEASE, Catalog, release
from flyball.engine import Engine, replica_args, resolve_model, this_machine
from flyball.local.service import read_api_key
from flyball.perf import Calibration, builtin_architecture
from flyball.perf.cpu import CPU
from flyball.planning import Demand
from flyball.processes import Nursery
from flyball.spec import FlagValue, ServingSpec
from flyball.tune import decrement
from flyball.tune.command_target import CommandTarget, filled
from flyball.tune.experiment import Bench
from flyball.tune.hardware import TUNED, chip_name, gpu_predictor, local_defaults, local_predictor, start_flags
from flyball.tune.journal import Journal, Past
from flyball.tune.local_target import LocalTarget
from flyball.tune.measuring import LoadPlan, Measurer, Say
from flyball.tune.prediction import Predictor, Unfit
from flyball.tune.session import ModelGuided, Proposer, Session
from flyball.tune.space import Device, space
from flyball.tune.target import Started, Target
from flyball.tune.trial import Flags, label
from flyball.workload import Recordings


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """A server that a command restarts."""

    template: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Everything that a session depends on."""

    spec: ServingSpec
    recordings: Recordings
    demand: Demand
    catalog: Catalog
    calibrations: Sequence[Calibration]
    server: Engine | Restart
    seed: int
    recipe: bool
    folder: Path


@dataclass(kw_only=True)
class Progress:
    """Where the session stands; after an interruption too."""

    session: Session | None = None
    guided: ModelGuided | None = None
    accelerator: str | None = None
    show: Say = lambda _: None
    """Told what is being done at the moment, again and again; nothing of it needs to stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """What is known of a server before it is started."""

    start: Flags
    device: Device
    predictor: Predictor | None
    accelerator: str | None
    """By its name in the catalog; CPU; None if it is not known."""
    fixed: Mapping[str, FlagValue] = field(default_factory=dict)


async def run(
    inputs: Inputs, *, past: Past | None, say: Say, progress: Progress, proposer: Proposer | None = None
) -> None:
    """Search until the end; `progress` holds what has been found. Raises UsageError, OutsideError.

    `proposer` is another way to choose trials than the model's or the recipe's.
    """
    known = knowledge(inputs)
    progress.accelerator = known.accelerator
    candidates = space(inputs.spec.tune.flags, known.start, device=known.device)
    say(f"{len(candidates)} sets of flags; start: {label(known.start)}")
    if known.predictor is not None:
        explain_start(known, inputs.demand.typical_rate.value, say)
    plan = LoadPlan(
        shape=inputs.spec.workload,
        recordings=inputs.recordings,
        slo=inputs.spec.slo,
        limits=inputs.spec.tune,
        seed=inputs.seed,
        mean_output_tokens=inputs.demand.mean_output_tokens,
        settings=LoadSettings(api_key=_api_key(inputs), grace_s=0.0),
    )
    async with contextlib.aclosing(Nursery()) as nursery, aiohttp.ClientSession() as session:
        target = _target(inputs, known, nursery, session)

        def prober(started: Started, folder: Path) -> Measurer:
            return Measurer(
                started=started,
                plan=plan,
                folder=folder,
                session=session,
                say=say,
                show=progress.show,
                shares_processors=isinstance(inputs.server, Engine) and inputs.server.device == "cpu",
            )

        search = progress.session = Session(
            bench=Bench(target=target, prober=prober, say=say, show=progress.show),
            journal=Journal(inputs.folder),
            folder=inputs.folder,
            limits=inputs.spec.tune,
        )
        if past is not None:
            search.resume(past)
            say(f"going on after {len(past.trials)} trials, {past.starts} engine starts, {past.elapsed_s:.0f} s")
        try:
            await search.run(proposer or _proposer(inputs, known, candidates, search, progress))
        finally:
            await target.stop()


def knowledge(inputs: Inputs) -> Knowledge:
    """Raises UsageError for flags that the server would not take."""
    spec = inputs.spec
    if isinstance(inputs.server, Restart):
        return _of_command(inputs)
    engine, machine = inputs.server, this_machine()
    model = resolve_model(spec.model.id, engine)
    args = replica_args(spec, engine=engine, model=model, machine=machine)
    defaults = local_defaults(args, engine=engine, machine=machine)
    start = start_flags(spec, {**defaults, **{name: args[name] for name in TUNED if name in args}})
    predictor = local_predictor(
        spec, engine=engine, machine=machine, model=model, args=args, demand=inputs.demand, catalog=inputs.catalog,
        calibrations=inputs.calibrations,
    )  # fmt: skip
    accelerator = CPU if engine.device == "cpu" else chip_name(machine.gpus[0].name, inputs.catalog)
    return Knowledge(start=start, device=engine.device, predictor=predictor, accelerator=accelerator)


def _of_command(inputs: Inputs) -> Knowledge:
    """The accelerator is the only one that the spec names; without one the search does without a model."""
    spec, known = inputs.spec, release(DEFAULT_RELEASE)
    names = spec.hardware.accelerators
    architecture = builtin_architecture(spec.model.id)
    fixed = {name: value for name, value in spec.engine.items() if name not in TUNED}
    predictor, memory_bytes, device_name, accelerator = None, 0, "", None
    if len(names) == 1:
        chip = inputs.catalog.accelerator(names[0])
        memory_bytes, device_name, accelerator = chip.memory_bytes, chip.device_name, chip.name
        if architecture is not None:
            predictor = gpu_predictor(
                spec, architecture, chip, known.version, dict(spec.engine), demand=inputs.demand,
                calibrations=inputs.calibrations,
            )  # fmt: skip
    batch = known.batch_defaults(memory_bytes=memory_bytes, device_name=device_name)
    defaults: dict[str, FlagValue] = {
        "max_num_seqs": batch.max_num_seqs,
        "max_num_batched_tokens": batch.max_num_batched_tokens,
        "gpu_memory_utilization": known.gpu_memory_utilization,
    }
    start = start_flags(spec, defaults)
    assert isinstance(inputs.server, Restart)
    filled(
        inputs.server.template, start, fixed=fixed, version=known.version
    )  # a mistake in it is told before anything starts
    return Knowledge(start=start, device="cuda", predictor=predictor, accelerator=accelerator, fixed=fixed)


def _target(inputs: Inputs, known: Knowledge, nursery: Nursery, session: aiohttp.ClientSession) -> Target:
    spec = inputs.spec
    if not isinstance(inputs.server, Restart):
        return LocalTarget(spec, inputs.server, nursery=nursery, session=session)
    return CommandTarget(
        inputs.server.template,
        inputs.server.url,
        fixed=known.fixed,
        version=DEFAULT_RELEASE,
        start_timeout_s=spec.local.start_timeout,
        model=spec.model.served_name or spec.model.id,
        api_key=_api_key(inputs),
        nursery=nursery,
        session=session,
    )


def _proposer(
    inputs: Inputs, known: Knowledge, candidates: Sequence[Flags], search: Session, progress: Progress
) -> Proposer:
    rate = inputs.demand.typical_rate.value
    if inputs.recipe:
        search.recipe_is_content = decrement.is_content
        return decrement.Decrement(start=known.start, rate=rate)
    progress.guided = ModelGuided(
        candidates=candidates, predictor=known.predictor, rate=rate, limits=inputs.spec.tune, folder=inputs.folder
    )
    return progress.guided


def explain_start(known: Knowledge, rate: float, say: Callable[[str], None]) -> None:
    """What the model says of the start at the spec's own rate, before anything is measured."""
    assert known.predictor is not None
    found = known.predictor.expect(known.start)
    about = f"{known.predictor.error:.0%} uncertain"
    if isinstance(found, Unfit):
        say(f"model: the start does not fit: {found.reason}")
    else:
        say(f"model ({about}): at {rate:g} requests/s the start {known.predictor.explain(known.start, rate)}")


def _api_key(inputs: Inputs) -> str | None:
    """Of a server behind a gateway; a local replica has none."""
    return read_api_key(inputs.spec) if isinstance(inputs.server, Restart) else None
