"""A plan as one JSON object."""

from math import isfinite
from typing import Any

from flyball.catalog import Offering
from flyball.planning import Candidate, Derived, Estimate, LatencyEstimate, Measured, OperatingPoint, Plan, PlanOutcome


def plan_document(outcome: PlanOutcome) -> dict[str, Any]:
    """Everything that is known: the plan (null if there is none), the alternatives, and what was rejected and why."""
    return {
        "verdict": outcome.verdict,
        "scope": outcome.scope,
        "plan": None if outcome.plan is None else _plan(outcome.plan),
        "alternatives": [candidate_document(candidate) for candidate in outcome.alternatives],
        "rejections": [
            {
                "accelerator": each.configuration.accelerator.name,
                "tensor_parallel_size": each.configuration.tensor_parallel_size,
                "quantization": each.configuration.quantization,
                "kind": each.kind,
                "reason": each.reason,
                "shortfall": each.shortfall,
                "ways_out": list(each.ways_out),
            }
            for each in outcome.rejections
        ],
    }


def _plan(plan: Plan) -> dict[str, Any]:
    even = plan.break_even
    return {
        "name": plan.name,
        "model": plan.model,
        "revision": plan.revision,
        "vllm": plan.vllm,
        "weights_bytes": plan.weights_bytes,
        **candidate_document(plan.chosen),
        "break_even": even
        and {
            "api_usd_per_million_tokens": {"input": even.api.input_usd, "output": even.api.output_usd},
            "api_usd_per_hour_typical": even.api_usd_per_hour_typical,
            "requests_per_second": even.rate,
            "tokens_per_day": even.tokens_per_day,
            "replicas": even.replicas,
            "reason": even.reason,
        },
        "derived": {name: _derived(value) for name, value in plan.derived.items()},
    }


def _derived(value: Derived[Any]) -> dict[str, Any]:
    return {"value": value.value, "reason": value.reason}


def candidate_document(candidate: Candidate) -> dict[str, Any]:
    """What holds for the plan and for its alternatives alike."""
    machine, tariff, budget = candidate.tariff.rental.machine, candidate.tariff, candidate.budget
    replicas, offers = candidate.replicas, (candidate.tariff.rental.on_demand, candidate.tariff.rental.spot)
    return {
        "accelerator": candidate.configuration.accelerator.name,
        "tensor_parallel_size": candidate.configuration.tensor_parallel_size,
        "quantization": candidate.configuration.quantization,
        "cloud": machine.cloud.name,
        "machine": machine.name,
        "accelerators_per_machine": machine.accelerator_count,
        "node_labels": dict(machine.node_labels),
        "capacity_type": candidate.capacity_type,
        "on_demand_floor": tariff.on_demand_floor,
        "engine": {name: flag.value for name, flag in candidate.engine.items()},
        "replicas": {
            "min": replicas.min.value,
            "max": replicas.max.value,
            "needed_typical": replicas.needed_typical,
            "needed_peak": replicas.needed_peak,
            "typical": replicas.typical,
            "peak": replicas.peak,
            "target": replicas.target.value,
        },
        "one_replica": {
            "requests_per_second": candidate.capacity.rate,
            "bound": candidate.capacity.bound,
            "in_system": candidate.capacity.in_system,
            "saturation_requests_per_second": candidate.saturation_rate,
            "measured": None if candidate.measured is None else _measured(candidate.measured),
        },
        "typical": _point(candidate.typical),
        "peak": _point(candidate.peak),
        "peak_one_lost": latency_document(candidate.one_lost),
        "memory": {
            "weights_bytes": budget.weights_bytes,
            "kv_cache_bytes": budget.kv_cache.available_bytes,
            "kv_cache_tokens": budget.kv_cache.tokens,
            "requested_bytes": budget.requested_bytes,
        },
        "start_s": candidate.start_s.value,
        "prices": [price_document(offer) for offer in offers if offer is not None],
        "spot_assumptions": {
            "reclaims_per_machine_hour": tariff.assumptions.reclaims_per_machine_hour,
            "seconds_lost_per_reclaim": tariff.reclaim_s,
        }
        if tariff.uses_spot
        else None,
        "calibration": {
            "calibrated": candidate.calibration.calibrated,
            "step_time_error": candidate.calibration.error,
            "ttft_error": candidate.calibration.ttft_error,
            "vllm": candidate.calibration.version,
            "source": candidate.calibration.source,
            "as_of": candidate.calibration.as_of,
        },
    }


def _measured(measured: Measured) -> dict[str, Any]:
    record = measured.record
    return {
        "used": measured.ignored is None,
        "ignored": measured.ignored,
        "requests_per_second": record.requests_per_s,
        "error": record.error,
        "model_requests_per_second": measured.model_rate,
        "run": record.run,
        "date": record.date.isoformat(),
    }


def price_document(offer: Offering) -> dict[str, Any]:
    return {
        "capacity_type": offer.capacity_type,
        "usd_per_hour": offer.price_usd_per_hour,
        "region": offer.region,
        "source": offer.source,
        "as_of": None if offer.as_of is None else offer.as_of.isoformat(),
        "note": offer.note,
    }


def _point(point: OperatingPoint) -> dict[str, Any]:
    cost = point.cost
    return {
        "requests_per_second": point.rate,
        "replicas": point.replicas,
        "utilization": point.utilization,
        "usd_per_hour": cost.usd_per_hour,
        "usd_per_month": cost.usd_per_month,
        "on_demand_machines": cost.on_demand_machines,
        "spot_machines": cost.spot_machines,
        "spot_share": cost.spot_share,
        "reclaims_usd_per_hour": cost.reclaims_usd_per_hour,
        "usd_per_million_input_tokens": point.tokens.input_usd,
        "usd_per_million_output_tokens": point.tokens.output_usd,
        "latency": latency_document(point.latency),
    }


def latency_document(latency: LatencyEstimate) -> dict[str, Any]:
    """Seconds by metric and percentile, each as value, low, high; high null where the engine might not keep up."""
    document: dict[str, Any] = {"requests_per_second_per_replica": latency.rate, "in_system": latency.in_system}
    for (metric, percentile), estimate in latency.quantiles_s.items():
        document.setdefault(f"{metric}_s", {})[f"p{percentile}"] = _estimate(estimate)
    return document


def _estimate(estimate: Estimate) -> dict[str, float | None]:
    high = estimate.high if isfinite(estimate.high) else None
    return {"value": estimate.value, "low": estimate.low, "high": high}
