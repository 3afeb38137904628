"""`Plan`: the chosen candidate, as everything after it needs it; `PlanOutcome`: the plan, or why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flyball.catalog import Accelerator, InstanceType
from flyball.perf import MemoryBudget
from flyball.planning.candidate import Candidate, Rejection
from flyball.planning.demand import Demand
from flyball.planning.derived import GIVEN, Derived
from flyball.planning.money import BreakEven, Cost, Tariff


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a spec is to be served."""

    name: str
    model: str
    revision: str | None
    weights_bytes: int
    """Of the whole model as it is served: what has to be downloaded and loaded."""
    vllm: str
    demand: Demand
    chosen: Candidate
    break_even: BreakEven | None = None

    @property
    def accelerator(self) -> Accelerator:
        return self.chosen.configuration.accelerator

    @property
    def tensor_parallel_size(self) -> int:
        """GPUs of a replica."""
        return self.chosen.configuration.tensor_parallel_size

    @property
    def machine(self) -> InstanceType:
        return self.chosen.tariff.rental.machine

    @property
    def spot_replicas_above(self) -> int | None:
        """Replicas up to this number run on demand, those above on spot; None: none runs on spot."""
        return self.chosen.tariff.on_demand_floor

    @property
    def node_labels(self) -> Mapping[str, str]:
        """Of the machine; a spot node has its cloud's `spot_labels` as well."""
        return self.machine.node_labels

    @property
    def engine_args(self) -> Mapping[str, Any]:
        """Values by the names of vLLM's flags, with underscores."""
        return {name: flag.value for name, flag in self.chosen.engine.items()}

    @property
    def min_replicas(self) -> int:
        return self.chosen.replicas.min.value

    @property
    def max_replicas(self) -> int:
        return self.chosen.replicas.max.value

    @property
    def target(self) -> float:
        """Of the scaling signal, per replica."""
        return self.chosen.replicas.target.value

    @property
    def start_s(self) -> float:
        """Expected, from the container's start to ready."""
        return self.chosen.start_s.value

    @property
    def budget(self) -> MemoryBudget:
        return self.chosen.budget

    @property
    def derived(self) -> Mapping[str, Derived[Any]]:
        """Every derived value by its name in the spec."""
        chosen = self.chosen
        return {
            "workload.typical": self.demand.typical_rate,
            "workload.peak": self.demand.peak_rate,
            **self._shared_prefix(),
            **{f"engine.{name}": flag for name, flag in chosen.engine.items()},
            "scaling.min": chosen.replicas.min,
            "scaling.max": chosen.replicas.max,
            "scaling.target": chosen.replicas.target,
            "start_s": chosen.start_s,
            "replica.requests_per_s": self._replica_rate(),
            "typical.usd_per_hour": _dollars(chosen.typical.cost, chosen.tariff),
            "peak.usd_per_hour": _dollars(chosen.peak.cost, chosen.tariff),
        }

    def _shared_prefix(self) -> Mapping[str, Derived[int]]:
        tokens = self.demand.shared_prefix_tokens
        if not tokens:
            return {}
        shared = self.demand.mean_shared_tokens(self.budget.settings.block_size)
        reason = (
            f"{GIVEN}: {shared:,.0f} of the {self.demand.mean_prompt_tokens:,.0f} tokens of a mean prompt come from the"
            f" prefix cache, in whole blocks: computed once, and kept once for all requests"
        )
        return {"workload.shared_prefix_tokens": Derived(value=tokens, reason=reason)}

    def _replica_rate(self) -> Derived[float]:
        capacity, saturation = self.chosen.capacity, self.chosen.saturation_rate
        reason = (
            f"the sample of requests, served in virtual time, meets the objective up to here: {capacity.bound};"
            f" at most {saturation:.3g} with every slot taken"
        )
        measured = self.chosen.measured
        if measured is not None:
            reason = measured.text if measured.ignored is None else f"{reason}; {measured.text}"
        return Derived(value=capacity.rate, reason=reason)

    @property
    def reasons(self) -> Mapping[str, str]:
        return {name: value.reason for name, value in self.derived.items()}


def _dollars(cost: Cost, tariff: Tariff) -> Derived[float]:
    kinds = ((cost.on_demand_machines, tariff.rental.on_demand), (cost.spot_machines, tariff.rental.spot))
    parts = [
        f"{count} {offer.capacity_type} x ${offer.price_usd_per_hour:.4g}" for count, offer in kinds if offer and count
    ]
    if cost.reclaims_usd_per_hour:
        parts.append(f"${cost.reclaims_usd_per_hour:.3g} for reclaims")
    return Derived(value=round(cost.usd_per_hour, 4), reason=" + ".join(parts) or "machines without a price")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOutcome:
    """What was looked at. Without a plan, `verdict` says what stands in the way, and the best that can be had."""

    plan: Plan | None
    alternatives: tuple[Candidate, ...]
    """Feasible, dearer than the plan, cheapest first."""
    rejections: tuple[Rejection, ...]
    verdict: str
    scope: str
    """Which machines were considered."""
