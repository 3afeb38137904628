"""From a spec file to a plan, for every verb that starts with one."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flyball.catalog import EngineRelease, load_catalog, release
from flyball.cli.calibrations_file import read_calibrations, user_calibrations
from flyball.cli.model_source import load_architecture
from flyball.cli.spec_file import read_spec, read_text
from flyball.planning import PlanOutcome, TokenPrice, demand
from flyball.planning import plan as make_plan
from flyball.spec import ServingSpec, parse_yaml
from flyball.workload import read_recordings

_SEED = 0  # the sample of requests: one for all candidates and for every run, so that plans can be compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A spec, the vLLM version that was planned for, and what came of it."""

    spec: ServingSpec
    release: EngineRelease
    outcome: PlanOutcome


def planned(path: Path, *, catalog: Path | None, vllm: str, api: TokenPrice | None = None) -> Planned:
    """Plan the spec in `path`, with the user's catalog file if there is one, and their own calibrations."""
    spec, version = read_spec(path), release(vllm)
    architecture = load_architecture(spec.model.id, spec.model.revision)
    known = load_catalog(None if catalog is None else parse_yaml(read_text(catalog), source=str(catalog)))
    recordings = read_recordings(spec.workload, lambda name: read_text(path.parent / name))
    calibrations = read_calibrations(user_calibrations())
    with _no_collections():
        outcome = make_plan(
            spec,
            architecture=architecture,
            catalog=known,
            release=version,
            demand=demand(spec.workload, slo=spec.slo, recordings=recordings, rng=np.random.default_rng(_SEED)),
            calibrations=calibrations,
            api=api,
        )
    return Planned(spec=spec, release=version, outcome=outcome)


@contextmanager
def _no_collections() -> Iterator[None]:
    """Virtual requests are many and hold no cycles: looking for some takes a fifth of the time of a plan."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
