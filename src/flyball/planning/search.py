"""`plan`: all configurations, the cheapest that meets the objective, and what became of the others.

Configurations are tried in the order of what they cost at the least (every replica at saturation), until that is more
than the best found costs in full: so few have to be served in virtual time, and none that is left out is cheaper.
"""

from collections.abc import Sequence
from dataclasses import replace

from flyball.catalog import Catalog, EngineRelease
from flyball.perf import ModelArchitecture, served_model, weight_bytes
from flyball.perf.calibration import Calibration
from flyball.perf.calibrations import calibration_for
from flyball.planning.candidate import Candidate, CostKey, Rejection
from flyball.planning.configuration import SHORT_STEP
from flyball.planning.demand import Demand
from flyball.planning.engines import engines_that_fit, given_flags, wanted_configurations
from flyball.planning.evaluation import Evaluation
from flyball.planning.fleet import Replicas
from flyball.planning.money import SpotAssumptions, TokenPrice, break_even
from flyball.planning.plan import Plan, PlanOutcome
from flyball.planning.rental import rentals
from flyball.spec import ServingSpec

SHOWN = 3
"""Accelerators for which an alternative is worked out, unless it costs ten times as much."""
LONG_STEP_GAIN = 1.1
"""What a replica holds more, at most, with long steps for prompts that fit into short ones: some percent in trials."""


def plan(
    spec: ServingSpec,
    *,
    architecture: ModelArchitecture,
    catalog: Catalog,
    release: EngineRelease,
    demand: Demand,
    calibrations: Sequence[Calibration] = (),
    api: TokenPrice | None = None,
) -> PlanOutcome:
    """The plan for a spec; `calibrations` are the user's own.

    UsageError if it asks for what the engine's version or the catalog does not have.
    """
    places, scope = rentals(spec.hardware, catalog)
    given = given_flags(spec, release)
    if not given.get("enable_prefix_caching", True):
        demand = replace(demand, shared_prefix_tokens=0)
    configurations, rejections = wanted_configurations(spec.hardware, places, catalog=catalog, given=given)
    engines, misfits = engines_that_fit(architecture, configurations, given=given, demand=demand, release=release)
    rejections += misfits
    evaluations = [
        Evaluation(
            spec=spec,
            architecture=architecture,
            demand=demand,
            configuration=configuration,
            sized=engine,
            rentals=[place for place in places if place.holds(configuration)],
            calibration=calibration_for(configuration.accelerator, release.version, calibrations, model=architecture),
            assumptions=SpotAssumptions(reclaims_per_machine_hour=spec.hardware.spot.reclaims_per_machine_hour),
            vllm=release.version,
        )
        for configuration, engine in engines
    ]
    found, refused = _search(evaluations)
    rejections += refused
    return PlanOutcome(
        plan=_plan(spec, found[0], architecture=architecture, demand=demand, api=api, vllm=release.version)
        if found
        else None,
        alternatives=tuple(found[1:]),
        rejections=tuple(rejections),
        verdict=f"the cheapest of {len(found)} that meet the objective" if found else _verdict(rejections, scope),
        scope=scope,
    )


def _plan(
    spec: ServingSpec,
    chosen: Candidate,
    *,
    architecture: ModelArchitecture,
    demand: Demand,
    api: TokenPrice | None,
    vllm: str,
) -> Plan:
    least, most = chosen.replicas.min.value, chosen.replicas.max.value
    fleet = range(least, max(least, most) + 1)
    return Plan(
        name=spec.name,
        model=spec.model.id,
        revision=spec.model.revision,
        weights_bytes=weight_bytes(served_model(architecture, chosen.budget.settings)),
        vllm=vllm,
        demand=demand,
        chosen=chosen,
        break_even=None
        if api is None
        else break_even(chosen.tariff, api, demand, capacity_rate=chosen.capacity.rate, fleet=fleet),
    )


def _search(evaluations: Sequence[Evaluation]) -> tuple[list[Candidate], list[Rejection]]:
    """Candidates, cheapest first, and rejections."""
    found: list[Candidate] = []
    rejections: list[Rejection] = []
    late: list[Evaluation] = []
    fleets: dict[str, Replicas] = {}
    for evaluation in sorted(evaluations, key=_order):
        if found and _is_left_out(evaluation, found):
            late.append(evaluation)
            continue
        label = evaluation.configuration.label
        candidates = evaluation.candidates(fleets.get(label))
        if isinstance(candidates, Rejection):
            rejections.append(candidates)
        elif candidates:
            found += candidates
            fleets[label] = candidates[0].replicas
    found.sort(key=lambda candidate: candidate.cost_key)
    rejections += [
        Rejection(configuration=each.configuration, kind="cost", reason=_dearer(each, found[0])) for each in late
    ]
    return _without_variants(found, rejections)


def _order(evaluation: Evaluation) -> tuple[bool, CostKey]:
    """Long steps last: by then the best that is known leaves most of them out."""
    return evaluation.configuration.max_num_batched_tokens > SHORT_STEP, evaluation.least_cost


def _is_left_out(evaluation: Evaluation, found: Sequence[Candidate]) -> bool:
    """It cannot be cheaper than the best, and there are alternatives enough."""
    best, least = min(each.cost_key for each in found), evaluation.least_cost
    short = [each.capacity.rate for each in found if each.label == evaluation.configuration.label]
    if short and _gains_little(evaluation):
        least = evaluation.cost_if(LONG_STEP_GAIN * max(short))
    seen = {candidate.configuration.accelerator.name for candidate in found}
    is_shown = evaluation.configuration.accelerator.name not in seen and len(seen) < SHOWN
    is_far_off = least[:1] > best[:1] or least[1] > 10 * best[1] > 0
    return least >= best and (is_far_off or not is_shown)


def _gains_little(evaluation: Evaluation) -> bool:
    """Whether it has long steps, though 19 of 20 prompts fit into a short one."""
    if evaluation.configuration.max_num_batched_tokens <= SHORT_STEP:
        return False
    return evaluation.demand.p95_prompt_tokens <= SHORT_STEP


def _without_variants(
    found: Sequence[Candidate], rejections: Sequence[Rejection]
) -> tuple[list[Candidate], list[Rejection]]:
    """Of ways that differ in flags alone the cheapest, and a rejection only where no such way was found."""
    candidates = {(each.label, each.tariff.rental.label, each.capacity_type): each for each in reversed(found)}
    labels = {each.label for each in found}
    refused = {each.label: each for each in reversed(rejections) if each.label not in labels}
    return sorted(candidates.values(), key=lambda each: each.cost_key), list(reversed(refused.values()))


def _dearer(evaluation: Evaluation, chosen: Candidate) -> str:
    missing, usd, _, accelerators, _ = evaluation.least_cost
    if missing:
        return f"no price is known; it takes at least {accelerators} GPUs at typical traffic"
    best = chosen.typical.cost
    if usd > best.usd_per_hour:
        return f"costs at least ${usd:,.2f}/h at typical traffic, the plan ${best.usd_per_hour:,.2f}/h"
    if accelerators > best.accelerators:
        return f"takes at least {accelerators} GPUs at typical traffic, the plan {best.accelerators}"
    return f"costs no less at typical traffic (${usd:,.2f}/h) and is no better at the peak"


def _verdict(rejections: Sequence[Rejection], scope: str) -> str:
    """Why there is no plan, with the configuration that comes closest."""
    if not rejections:
        return f"nothing to choose from: {scope}"
    starts = {
        "replicas": "the objective takes too many replicas",
        "floor": "no replica count can meet the objective",
        "context": "the requests are longer than the context",
        "memory": "the model fits nowhere",
        "machine": "no machine",
        "split": "no number of GPUs that the model splits over",
    }
    kind = next(kind for kind in starts if any(each.kind == kind for each in rejections))
    those = [each for each in rejections if each.kind == kind]
    if kind == "machine":
        return f"{starts[kind]}: {'; '.join(f'{each.label}: {each.reason}' for each in those)}"
    best = min(those, key=lambda each: (each.shortfall or 0.0, -each.configuration.memory_bytes))
    # Several machines a replica are not looked at: what does not fit may still run, slower, across them.
    within = " (a replica lies within one machine: no pipeline parallelism)" if kind == "memory" else ""
    return f"{starts[kind]}{within}; the best is {best.label}: {best.reason}"
