"""From a sized engine to candidates: what one replica holds, how many are needed, what they cost where."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from flyball.perf import ModelArchitecture, served_model, weight_bytes
from flyball.perf.calibration import Calibration
from flyball.perf.step_model import StepModel
from flyball.planning.candidate import Candidate, CostKey, OperatingPoint, Rejection, cost_key
from flyball.planning.configuration import Configuration
from flyball.planning.demand import Demand
from flyball.planning.derived import Derived
from flyball.planning.fleet import SPARE, Replicas, needed, replicas
from flyball.planning.interval import estimated
from flyball.planning.measured import Measured, mismatch
from flyball.planning.money import SpotAssumptions, Tariff, tariffs, token_price
from flyball.planning.rental import Rental
from flyball.planning.replica_load import Capacity, ReplicaLoad
from flyball.planning.sizing import SizedEngine
from flyball.spec import ServingSpec

MOST_REPLICAS = 100
START_S = 75.0
"""vLLM from its process's start to ready, apart from reading weights: measured 87 to 95 s on an H200 (0.26, 8B, bf16,
16 GB), of which torch.compile 20 to 23 s, CUDA graphs 1 to 4 s, imports and API server 50 s."""
WEIGHTS_BYTES_PER_S = 1e9
"""Reading weights from a network disk or a node's cache: what the same measurements leave for 16 GB."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One configuration on its way to candidates. The dear part, serving the workload, happens when it is asked for."""

    spec: ServingSpec
    architecture: ModelArchitecture
    demand: Demand
    configuration: Configuration
    sized: SizedEngine
    rentals: Sequence[Rental]
    calibration: Calibration
    assumptions: SpotAssumptions
    vllm: str

    @cached_property
    def load(self) -> ReplicaLoad:
        """As the model has it, on the clock of the spec's `measured` record where that is of this configuration."""
        if self.measured is None or self.measured.model_rate is None:
            return self._modelled
        pace = self.measured.record.requests_per_s / self.measured.model_rate
        return ReplicaLoad(self._modelled.model, self.sized.budget, self.demand, pace=pace)

    @cached_property
    def _modelled(self) -> ReplicaLoad:
        settings = self.sized.budget.settings
        model = served_model(self.architecture, settings)
        step = StepModel(model, self.configuration.accelerator, settings, self.calibration.efficiency)
        return ReplicaLoad(step, self.sized.budget, self.demand)

    @cached_property
    def measured(self) -> Measured | None:
        """What the spec's record says here."""
        record, slo = self.spec.measured, self.spec.slo
        if record is None:
            return None
        ignored = mismatch(
            record,
            spec=self.spec,
            demand=self.demand,
            configuration=self.configuration,
            engine=self.sized.engine,
            vllm=self.vllm,
        )
        if ignored is None and self._modelled.idle().misses(slo) is not None:
            ignored = "the model misses the objective on an idle server, and latency would have to come from it"
        if ignored is not None:
            return Measured(record=record, ignored=ignored)
        return Measured(record=record, ignored=None, model_rate=self._modelled.capacity(slo).rate)

    @cached_property
    def start_s(self) -> Derived[float]:
        total = weight_bytes(served_model(self.architecture, self.sized.budget.settings))
        seconds = START_S + total / WEIGHTS_BYTES_PER_S
        reason = (
            f"{START_S:.0f} s of start-up, as measured on an H200, and {total / 1e9:.0f} GB of weights at"
            f" {WEIGHTS_BYTES_PER_S / 1e9:.0f} GB/s; a new machine and its image come before that"
        )
        return Derived(value=round(seconds, 1), reason=reason)

    @cached_property
    def most(self) -> Derived[int]:
        """Replicas that the spec allows, or that a plan makes sense of."""
        scaling = self.spec.scaling
        if "max" in scaling.model_fields_set:
            return Derived(value=scaling.max, reason="scaling.max")
        return Derived(value=MOST_REPLICAS, reason="what a plan makes sense of")

    @cached_property
    def fewest(self) -> int:
        """Replicas at the peak, even if each could be run at saturation."""
        return needed(self.demand.peak_rate.value, self.load.saturation_rate) + SPARE

    @cached_property
    def least_cost(self) -> CostKey:
        """No candidate of this configuration costs less."""
        return self.cost_if(self.load.saturation_rate)

    def cost_if(self, capacity_rate: float) -> CostKey:
        """The least that it costs if a replica holds that many requests per second."""
        least = needed(self.demand.typical_rate.value, capacity_rate)
        if "min" in self.spec.scaling.model_fields_set:
            least = max(least, self.spec.scaling.min)
        else:
            least += SPARE
        most = max(least, needed(self.demand.peak_rate.value, capacity_rate) + SPARE)
        return min(cost_key(tariff, least, most) for tariff in self._tariffs(stream_s=0.0))

    def _tariffs(self, *, stream_s: float) -> list[Tariff]:
        size = self.configuration.tensor_parallel_size
        return [
            tariff
            for rental in self.rentals
            for tariff in tariffs(
                rental,
                tensor_parallel_size=size,
                spot=self.spec.hardware.spot,
                start_s=self.start_s.value,
                stream_s=stream_s,
                assumptions=self.assumptions,
            )
        ]

    def candidates(self, rival: Replicas | None = None) -> list[Candidate] | Rejection:
        """One for each way to rent; or why there is none.

        None either if it needs as many replicas as `rival`, the fleet of the same configuration with other flags.
        """
        if self.fewest > self.most.value:
            return self._too_many(self.fewest, f"even at saturation, {self.load.saturation_rate:.3g} req/s each")
        missed = self.load.idle().misses(self.spec.slo)
        if missed is not None:
            metric, percentile, limit = missed
            floor = self.load.idle().quantiles_s[metric, percentile]
            return Rejection(
                configuration=self.configuration,
                reason=f"{metric.upper()} p{percentile} floor {floor * 1000:.0f} ms > {limit * 1000:.0f} ms with an"
                " idle server: no replica count can meet it",
                kind="floor",
                shortfall=floor / limit,
            )
        spec, most = self.spec, self.most.value
        capacity = self.load.capacity(spec.slo)
        held = f"{capacity.rate:.3g} req/s each within {capacity.bound}"
        least = needed(self.demand.peak_rate.value, capacity.rate) + SPARE
        if least > most:
            return self._too_many(least, held)
        fewest = needed(self.demand.typical_rate.value, capacity.rate)
        if rival is not None and fewest >= rival.needed_typical and least - SPARE >= rival.needed_peak:
            return []
        fleet = replicas(spec.scaling, spec.slo, self.demand, capacity, self.load, most=most)
        if fleet.peak > most:
            return self._too_many(fleet.peak, f"{held} at best")
        return [
            self._candidate(tariff, capacity, fleet)
            for tariff in self._tariffs(stream_s=self._stream_s(capacity))
            if not tariff.uses_spot or tariff.cost(fleet.peak).spot_machines
        ]

    def _stream_s(self, capacity: Capacity) -> float:
        return self.load.at(capacity.rate).quantiles_s["e2e", 99] if self.spec.hardware.spot.allowed else 0.0

    def _too_many(self, count: int, why: str) -> Rejection:
        rate = self.demand.peak_rate.value
        return Rejection(
            configuration=self.configuration,
            kind="replicas",
            shortfall=count / self.most.value,
            reason=f"replicas needed {count} ({count - SPARE} for {rate:g} req/s, {why}, and {SPARE} to lose)"
            f" > {self.most.value}, {self.most.reason}",
        )

    def _candidate(self, tariff: Tariff, capacity: Capacity, fleet: Replicas) -> Candidate:
        demand = self.demand
        return Candidate(
            configuration=self.configuration,
            tariff=tariff,
            engine=self.sized.engine,
            budget=self.sized.budget,
            capacity=capacity,
            saturation_rate=self.load.saturation_rate,
            replicas=fleet,
            typical=self._point(demand.typical_rate.value, fleet.typical, capacity, tariff),
            peak=self._point(demand.peak_rate.value, fleet.peak, capacity, tariff),
            one_lost=estimated(self.load, demand.peak_rate.value / max(1, fleet.peak - 1), self.calibration),
            start_s=self.start_s,
            calibration=self.calibration,
            measured=self.measured,
        )

    def _point(self, rate: float, count: int, capacity: Capacity, tariff: Tariff) -> OperatingPoint:
        latency = estimated(self.load, rate / count, self.calibration)
        cost = tariff.cost(count)
        share = self.load.input_share(latency.in_system)
        return OperatingPoint(
            rate=rate,
            replicas=count,
            utilization=rate / (count * capacity.rate),
            latency=latency,
            cost=cost,
            tokens=token_price(cost.usd_per_hour, rate, self.demand, input_share=share),
        )
