"""What a fleet costs: machines by the hour, reclaims of spot machines, tokens, and an API to compare with."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from flyball.planning.demand import Demand
from flyball.planning.rental import Rental
from flyball.spec import SpotSpec

HOURS_PER_MONTH = 730.0
_MILLION = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotAssumptions:
    """What no catalog tells; assumed, and printed as such."""

    reclaims_per_machine_hour: float = SpotSpec().reclaims_per_machine_hour
    node_start_s: float = 180.0
    """A new machine from the order to the container's start, the image pulled: minutes by what users report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of a number of replicas on one kind of machine, dollars per hour."""

    on_demand_machines: int
    spot_machines: int
    on_demand_usd_per_hour: float
    spot_usd_per_hour: float
    reclaims_usd_per_hour: float
    """Expected: machines that start instead of serving, and work that is done twice."""
    accelerators: int
    """GPUs of all machines, used or not."""

    @property
    def usd_per_hour(self) -> float:
        return self.on_demand_usd_per_hour + self.spot_usd_per_hour + self.reclaims_usd_per_hour

    @property
    def usd_per_month(self) -> float:
        return HOURS_PER_MONTH * self.usd_per_hour

    @property
    def spot_share(self) -> float:
        return self.spot_machines / (self.spot_machines + self.on_demand_machines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """How replicas of one candidate turn into dollars."""

    rental: Rental
    replicas_per_machine: int
    on_demand_floor: int | None
    """Replicas that never run on spot; None: none does."""
    reclaim_s: float
    """Machine-seconds lost with each reclaim."""
    assumptions: SpotAssumptions

    @property
    def uses_spot(self) -> bool:
        return self.on_demand_floor is not None

    def cost(self, replicas: int) -> Cost:
        """Prices that are unknown count as 0; `Rental.is_priced` tells."""
        per = self.replicas_per_machine
        steady = replicas if self.on_demand_floor is None else min(replicas, self.on_demand_floor)
        on_demand = math.ceil(steady / per)
        spot = math.ceil(max(0, replicas - on_demand * per) / per)
        usd, usd_spot = (
            0.0 if offer is None else offer.price_usd_per_hour for offer in (self.rental.on_demand, self.rental.spot)
        )
        lost_hours = self.assumptions.reclaims_per_machine_hour * self.reclaim_s / 3600
        return Cost(
            on_demand_machines=on_demand,
            spot_machines=spot,
            on_demand_usd_per_hour=on_demand * usd,
            spot_usd_per_hour=spot * usd_spot,
            reclaims_usd_per_hour=spot * usd_spot * lost_hours,
            accelerators=(on_demand + spot) * self.rental.machine.accelerator_count,
        )


def tariffs(
    rental: Rental,
    *,
    tensor_parallel_size: int,
    spot: SpotSpec,
    start_s: float,
    stream_s: float,
    assumptions: SpotAssumptions,
) -> list[Tariff]:
    """On-demand machines alone and, where the spec allows it and there is a price, spot above the floor.

    `stream_s` is how long a stream lasts: what the notice does not let it finish is done again, half of it on average.
    """
    per_machine = rental.replicas_per_machine(tensor_parallel_size)
    notice_s = rental.machine.cloud.pod_notice_s or 0.0
    redone_s = 0.0 if notice_s >= stream_s else stream_s / 2
    reclaim_s = assumptions.node_start_s + start_s + redone_s
    floors: list[int | None] = []
    if rental.on_demand is not None or not rental.is_priced:
        floors.append(None)
    if rental.spot is not None and (rental.on_demand is not None or spot.on_demand_floor == 0):
        floors.append(spot.on_demand_floor)
    return [
        Tariff(
            rental=rental,
            replicas_per_machine=per_machine,
            on_demand_floor=floor,
            reclaim_s=reclaim_s,
            assumptions=assumptions,
        )
        for floor in floors
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPrice:
    """Dollars per million tokens; split between input and output by the engine's seconds that each takes."""

    input_usd: float
    output_usd: float


def token_price(usd_per_hour: float, rate: float, demand: Demand, *, input_share: float) -> TokenPrice:
    """At `rate` requests per second."""
    usd_per_request = usd_per_hour / (3600 * rate)
    return TokenPrice(
        input_usd=usd_per_request * input_share / demand.mean_prompt_tokens * _MILLION,
        output_usd=usd_per_request * (1 - input_share) / demand.mean_output_tokens * _MILLION,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakEven:
    """Against an API: from `rate` on, one's own fleet costs less; None where it never does within `max` replicas."""

    api: TokenPrice
    api_usd_per_hour_typical: float
    rate: float | None
    tokens_per_day: float | None
    replicas: int | None
    reason: str


def break_even(
    tariff: Tariff, api: TokenPrice, demand: Demand, *, capacity_rate: float, fleet: Sequence[int]
) -> BreakEven:
    """The lowest rate at which a fleet of one of the sizes in `fleet` (rising) costs no more than the API.

    The last replica of a size is the spare: the objective holds without it.
    """
    usd_per_request = (
        demand.mean_prompt_tokens * api.input_usd + demand.mean_output_tokens * api.output_usd
    ) / _MILLION
    typical = usd_per_request * demand.typical_rate.value * 3600
    for count in fleet:
        usd_per_hour = tariff.cost(count).usd_per_hour
        rate = usd_per_hour / (3600 * usd_per_request) if usd_per_request else math.inf
        if rate <= max(1, count - 1) * capacity_rate:
            return BreakEven(
                api=api,
                api_usd_per_hour_typical=typical,
                rate=rate,
                tokens_per_day=rate * demand.mean_tokens * 86400,
                replicas=count,
                reason=f"{count} replicas cost ${usd_per_hour:,.2f}/h, the API ${usd_per_request:.2g} a request",
            )
    count = fleet[-1]
    full = max(1, count - 1) * capacity_rate
    usd_per_hour = tariff.cost(count).usd_per_hour
    return BreakEven(
        api=api,
        api_usd_per_hour_typical=typical,
        rate=None,
        tokens_per_day=None,
        replicas=None,
        reason=f"even full, at {full:.3g} req/s, {count} replicas cost ${usd_per_hour:,.2f}/h and the API"
        f" ${full * usd_per_request * 3600:,.2f}/h",
    )
