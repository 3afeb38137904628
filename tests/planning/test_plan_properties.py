"""What must hold of plans whatever the numbers are."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyball.catalog import load_catalog, release
from flyball.perf import builtin_architecture
from flyball.perf.efficiency import Efficiency
from flyball.perf.step_model import StepModel
from flyball.planning import Candidate, Configuration, PlanOutcome, SizedEngine, demand, sized
from flyball.planning.replica_load import ReplicaLoad
from flyball.spec import SLO, Percentiles, WorkloadShape
from flyball.workload import Recordings

CHIPS = ("L40S", "H200", "A100-80GB")
SLOW = settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))

ttft_ms = st.integers(min_value=60, max_value=2000)
rates = st.floats(min_value=0.5, max_value=200).map(lambda rate: round(rate, 2))


def spec(*, ttft: int = 300, rate: float = 10.0, peak: float | None = None, chips: tuple[str, ...] = CHIPS) -> str:
    return f"""
model: {{id: Qwen/Qwen2.5-7B-Instruct}}
slo: {{ttft: {{p95: {ttft}ms}}, tpot: {{p95: 60ms}}}}
workload: {{arrivals: {{poisson: {rate}}}, peak: {peak or 2 * rate}}}
hardware: {{cloud: none, accelerators: [{", ".join(chips)}]}}
"""


def cost(outcome: PlanOutcome) -> tuple[bool, float]:
    """Dollars at typical traffic, what cannot be done above all."""
    return (True, 0.0) if outcome.plan is None else (False, outcome.plan.chosen.typical.cost.usd_per_hour)


@SLOW
@given(bounds=st.lists(ttft_ms, min_size=2, max_size=2, unique=True), rate=rates)
@pytest.mark.long
def test_a_looser_objective_never_costs_more(
    planner: Callable[..., PlanOutcome], bounds: list[int], rate: float
) -> None:
    """Whatever meets the tight objective meets the loose one."""
    tight, loose = sorted(bounds)

    assert cost(planner(spec(ttft=loose, rate=rate))) <= cost(planner(spec(ttft=tight, rate=rate)))


@SLOW
@given(rate=rates, factor=st.floats(min_value=1.05, max_value=4))
@pytest.mark.long
def test_more_traffic_never_needs_fewer_replicas(
    planner: Callable[..., PlanOutcome], rate: float, factor: float
) -> None:
    """On the same chip; of all chips together it never costs less."""
    less = planner(spec(rate=rate, chips=("H200",)))
    more = planner(spec(rate=round(rate * factor, 2), chips=("H200",)))

    assert cost(less) <= cost(more)
    if less.plan is not None and more.plan is not None:
        few, many = less.plan.chosen.replicas, more.plan.chosen.replicas
        assert few.needed_typical <= many.needed_typical
        assert few.needed_peak <= many.needed_peak
        assert few.min.value <= many.min.value
        assert few.max.value <= many.max.value


@SLOW
@given(rate=rates, ttft=ttft_ms, gone=st.sampled_from(CHIPS))
@pytest.mark.long
def test_fewer_accelerators_never_make_it_cheaper(
    planner: Callable[..., PlanOutcome], rate: float, ttft: int, gone: str
) -> None:
    """A choice that is taken away cannot have stood in the way."""
    left = tuple(chip for chip in CHIPS if chip != gone)

    assert cost(planner(spec(rate=rate, ttft=ttft))) <= cost(planner(spec(rate=rate, ttft=ttft, chips=left)))


@SLOW
@given(rate=rates, ttft=ttft_ms)
@pytest.mark.long
def test_the_plan_is_beaten_by_no_alternative(planner: Callable[..., PlanOutcome], rate: float, ttft: int) -> None:
    """None is cheaper at typical traffic, none as cheap there and cheaper at the peak; and all meet the objective."""
    outcome = planner(spec(rate=rate, ttft=ttft))
    if outcome.plan is None:
        return
    chosen = outcome.plan.chosen

    def dollars(candidate: Candidate) -> tuple[float, float]:
        return candidate.typical.cost.usd_per_hour, candidate.peak.cost.usd_per_hour

    for other in outcome.alternatives:
        assert other.tariff.rental.price_is_missing or dollars(chosen) <= dollars(other)
    for each in (chosen, *outcome.alternatives):
        assert each.one_lost.quantiles_s["ttft", 95].value <= ttft / 1000
        assert each.one_lost.quantiles_s["tpot", 95].value <= 0.06
        assert each.budget.kv_cache.holds_one_request


@pytest.fixture(scope="module")
def load() -> ReplicaLoad:
    """Qwen2.5-7B on an L40S under the default mix."""
    architecture = builtin_architecture("Qwen/Qwen2.5-7B-Instruct")
    assert architecture is not None
    chip = load_catalog().accelerator("L40S")
    objective = SLO(ttft=Percentiles(p95=1.0))
    wanted = demand(WorkloadShape(), slo=objective, recordings=Recordings(), rng=np.random.default_rng(0))
    engine = sized(architecture, Configuration(accelerator=chip), given={}, demand=wanted, release=release("0.32.0"))
    assert isinstance(engine, SizedEngine)
    model = StepModel(architecture, chip, engine.budget.settings, Efficiency())
    return ReplicaLoad(model, engine.budget, wanted)


@given(bounds=st.lists(st.floats(min_value=0.3, max_value=20), min_size=2, max_size=2), tpot=st.floats(0.04, 0.2))
@settings(deadline=None)
def test_capacity_rises_with_the_objective(load: ReplicaLoad, bounds: list[float], tpot: float) -> None:
    """Exactly, not just mostly: rates between those that were served are interpolated."""
    tight, loose = (SLO(ttft=Percentiles(p95=bound), tpot=Percentiles(p95=tpot)) for bound in sorted(bounds))
    if load.idle().misses(tight) is not None:
        return

    assert load.capacity(tight).rate <= load.capacity(loose).rate
    assert load.capacity(loose).rate <= load.saturation_rate


def test_latency_rises_towards_saturation(load: ReplicaLoad) -> None:
    """Twice the load is never faster, and at saturation the queue shows."""
    served = [load.at(share * load.saturation_rate).quantiles_s["ttft", 95] for share in (0.1, 0.4, 0.8, 1.0)]

    assert served == sorted(served)
    assert served[-1] > 2 * served[0]
