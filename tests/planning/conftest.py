"""A plan of a spec as text, against the catalog of this release."""

from typing import Protocol

import numpy as np
import pytest

from flyball.catalog import DEFAULT_RELEASE, Catalog, load_catalog, release
from flyball.perf import builtin_architecture
from flyball.planning import PlanOutcome, TokenPrice, demand, plan
from flyball.spec import ServingSpec, parse_model
from flyball.workload import Recordings


class Planner(Protocol):
    def __call__(self, text: str, *, known: Catalog | None = None, api: TokenPrice | None = None) -> PlanOutcome: ...


@pytest.fixture(scope="session")
def planner() -> Planner:
    catalog = load_catalog()

    def planned(text: str, *, known: Catalog | None = None, api: TokenPrice | None = None) -> PlanOutcome:
        spec = parse_model(ServingSpec, text, source="spec.yaml")
        architecture = builtin_architecture(spec.model.id)
        assert architecture is not None
        rng = np.random.default_rng(0)
        return plan(
            spec,
            architecture=architecture,
            catalog=known or catalog,
            release=release(DEFAULT_RELEASE),
            demand=demand(spec.workload, slo=spec.slo, recordings=Recordings(), rng=rng),
            api=api,
        )

    return planned
