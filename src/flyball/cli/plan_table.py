"""A plan for people: the choice on top, then the alternatives, then what was rejected."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import isfinite
from typing import TextIO

from flyball.catalog import Offering
from flyball.cli.terminal_text import table, wrapped
from flyball.planning import Candidate, Estimate, LatencyEstimate, Plan, PlanOutcome, Rejection
from flyball.spec import ServingSpec

_SHOWN = 8  # alternatives
Say = Callable[[str], None]


def print_plan(spec: ServingSpec, outcome: PlanOutcome, out: TextIO, *, why: bool, width: int | None = None) -> None:
    """With lines of at most `width` where words allow it; None: as long as they are."""

    def say(text: str = "") -> None:
        print(wrapped(text, width), file=out)

    def show(lines: Iterable[str]) -> None:
        for line in lines:
            print(line, file=out)

    bounds = (f"{metric.upper()} p{level} {bound * 1000:g} ms" for metric, level, bound in spec.slo.objectives())
    say(f"{spec.name}: {spec.model.id} within {', '.join(bounds)}; {outcome.scope}")
    if outcome.plan is None:
        say(f"no plan: {outcome.verdict}")
    else:
        _print_chosen(spec, outcome.plan, say, show)
        if why:
            _print_reasons(outcome.plan, say)
    if outcome.alternatives:
        say("\nalternatives")
        show(_alternatives(spec, outcome.alternatives, width))
        if len(outcome.alternatives) > _SHOWN:
            say(f"  and {len(outcome.alternatives) - _SHOWN} more")
    _print_rejections(outcome.rejections, say, complete=why, ways_out=why or outcome.plan is None)


def _print_chosen(spec: ServingSpec, plan: Plan, say: Say, show: Callable[[Iterable[str]], None]) -> None:
    chosen, engine = plan.chosen, plan.engine_args
    say(f"\n{chosen.label} on {chosen.tariff.rental.label}, {_capacity(chosen)}, vLLM {plan.vllm}")
    show(table(_points(spec, chosen)))
    capacity, replicas = chosen.capacity, chosen.replicas
    say(f"one replica holds {capacity.rate:.3g} req/s within {capacity.bound}, {capacity.in_system:.0f} requests in it")
    if chosen.measured is not None:
        say(chosen.measured.text)
    say(
        f"replicas {replicas.needed_typical} for typical traffic and {replicas.needed_peak} for the peak, 1 more to"
        f" lose: scaling.min {replicas.min.value}, max {replicas.max.value},"
        f" {spec.scaling.signal} target {replicas.target.value:g} each; ready {chosen.start_s.value:.0f} s after start"
    )
    say(f"engine {' '.join(f'{name}={value}' for name, value in engine.items())}")
    pool, weights = chosen.budget.kv_cache.tokens, chosen.budget.weights_bytes / 1e9
    say(f"memory {weights:.1f} GB of weights a GPU, {pool:,} tokens of KV cache")
    for offer in (chosen.tariff.rental.on_demand, chosen.tariff.rental.spot):
        if offer is not None:
            say(f"price {_price(offer)}")
    _print_spot(spec, chosen, say)
    if plan.break_even is not None:
        even = plan.break_even
        text = (
            f"never cheaper than the API: {even.reason}"
            if even.rate is None
            else f"cheaper than the API from {even.rate:.3g} req/s,"
            f" {(even.tokens_per_day or 0) / 1e6:,.0f} million tokens a day: {even.reason}"
        )
        say(f"{text}; typical traffic costs ${even.api_usd_per_hour_typical:,.2f}/h there")
    known = chosen.calibration
    when = f", {known.as_of}" if known.as_of else ""
    say(f"latency within {known.error:.0%} (TTFT {known.ttft_error:.0%}): {known.source}{when}")


def _capacity(candidate: Candidate) -> str:
    floor = candidate.tariff.on_demand_floor
    return "on demand" if floor is None else f"spot above {floor} on demand"


def _price(offer: Offering) -> str:
    when = f", {offer.as_of}" if offer.as_of else ""
    caution = "; an order of magnitude" if offer.capacity_type == "spot" else ""
    place = f" in {offer.region}" if offer.region else ""
    return f"${offer.price_usd_per_hour:,.4g}/h {offer.capacity_type}{place} ({offer.source}{when}{caution})"


def _print_spot(spec: ServingSpec, chosen: Candidate, say: Say) -> None:
    if chosen.tariff.uses_spot:
        tariff, cost = chosen.tariff, chosen.typical.cost
        given = "reclaims_per_machine_hour" in spec.hardware.spot.model_fields_set
        say(
            f"spot {cost.spot_share:.0%} of the machines at typical traffic; reclaims cost"
            f" ${cost.reclaims_usd_per_hour:.3g}/h if each machine is taken"
            f" {tariff.assumptions.reclaims_per_machine_hour:g} times an hour ({'given' if given else 'assumed'}) and"
            f" {tariff.reclaim_s:.0f} s are lost with it"
        )


def _points(spec: ServingSpec, chosen: Candidate) -> list[list[str]]:
    typical, peak, lost = chosen.typical, chosen.peak, chosen.one_lost
    rows = [
        ["", "typical", "peak", "one lost"],
        ["requests/s", f"{typical.rate:g}", f"{peak.rate:g}", f"{peak.rate:g}"],
        ["replicas", f"{typical.replicas}", f"{peak.replicas}", f"{max(1, peak.replicas - 1)}"],
        [
            "utilisation",
            f"{typical.utilization:.0%}",
            f"{peak.utilization:.0%}",
            f"{lost.rate / chosen.capacity.rate:.0%}",
        ],
    ]
    for metric, level, _ in spec.slo.objectives():
        cells = (_milliseconds(each, (metric, level)) for each in (typical.latency, peak.latency, lost))
        rows.append([f"{metric.upper()} p{level} ms", *cells])
    if chosen.tariff.rental.is_priced:
        rows += [
            ["$/hour", f"{typical.cost.usd_per_hour:,.2f}", f"{peak.cost.usd_per_hour:,.2f}", ""],
            ["$/month of 730 h", f"{typical.cost.usd_per_month:,.0f}", f"{peak.cost.usd_per_month:,.0f}", ""],
            [
                "$/M tokens in, out",
                *(f"{each.tokens.input_usd:.3g}, {each.tokens.output_usd:.3g}" for each in (typical, peak)),
                "",
            ],
        ]
    return rows


def _milliseconds(latency: LatencyEstimate, quantile: tuple[str, int]) -> str:
    estimate: Estimate = latency.quantiles_s[quantile]  # type: ignore[index]
    high = f"{estimate.high * 1000:.0f}" if isfinite(estimate.high) else "?"
    return f"{estimate.value * 1000:.0f} ({estimate.low * 1000:.0f}-{high})"


def _print_reasons(plan: Plan, say: Say) -> None:
    say("\nwhy")
    for name, value in plan.derived.items():
        shown = f"{value.value:.4g}" if isinstance(value.value, float) else value.value
        say(f"  {name} = {shown}: {value.reason}")
    say("  $/M tokens: split by the seconds that a prompt adds to the engine's steps and that its output takes")


def _alternatives(spec: ServingSpec, alternatives: Sequence[Candidate], width: int | None) -> Iterator[str]:
    metric, level, _ = next(spec.slo.objectives())
    heads = ["", "on", "", "req/s each", "replicas", "$/h typical", "peak", f"{metric.upper()} p{level} ms at the peak"]
    rows = [
        [
            each.label,
            each.tariff.rental.label,
            _capacity(each),
            f"{each.capacity.rate:.3g}",
            f"{each.typical.replicas} to {each.peak.replicas}",
            *(
                (f"{each.typical.cost.usd_per_hour:,.2f}", f"{each.peak.cost.usd_per_hour:,.2f}")
                if each.tariff.rental.is_priced
                else ("no price", "")
            ),
            _milliseconds(each.peak.latency, (metric, level)),
        ]
        for each in alternatives[:_SHOWN]
    ]
    return table(rows, left=3, heads=heads, width=width)


def _print_rejections(rejections: Sequence[Rejection], say: Say, *, complete: bool, ways_out: bool) -> None:
    """Equal reasons in one line; those that are only dearer in one line, unless all is asked for."""
    dearer = [] if complete else [each for each in rejections if each.kind == "cost"]
    by_reason: dict[str, list[Rejection]] = {}
    for rejection in rejections:
        if rejection not in dearer:
            by_reason.setdefault(rejection.reason, []).append(rejection)
    if rejections:
        say("\nrejected")
    for reason, those in by_reason.items():
        say(f"  {', '.join(each.label for each in those)}: {reason}")
        if ways_out:
            for way in those[0].ways_out:
                say(f"    {way}")
    if dearer:
        first = dearer[0]
        say(f"  {first.label}: {first.reason}{f'; and {len(dearer) - 1} more' if len(dearer) > 1 else ''} (--why)")
