"""Machines, reclaims, tokens and break-even, by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.catalog import Catalog, Offering, load_catalog
from flyball.planning import Demand, Derived, SpotAssumptions, Tariff, TokenPrice
from flyball.planning.money import break_even, tariffs, token_price
from flyball.planning.rental import Rental
from flyball.spec import SpotSpec

CATALOG = load_catalog(
    {
        "clouds": [{"name": "here", "pod_notice_s": 30}],
        "machines": [
            {
                "cloud": "here",
                "name": "four",
                "accelerator": "L4",
                "count": 4,
                "on_demand": {"usd_per_hour": 8.0},
                "spot": {"usd_per_hour": 2.0},
            }
        ],
    }
)


def offering(catalog: Catalog, kind: str) -> Offering:
    return next(offer for offer in catalog.offerings(cloud="here") if offer.capacity_type == kind)


def rental() -> Rental:
    on_demand, spot = offering(CATALOG, "on-demand"), offering(CATALOG, "spot")
    return Rental(machine=on_demand.instance_type, on_demand=on_demand, spot=spot)


def both(*, floor: int = 1, stream_s: float = 0.0) -> tuple[Tariff, Tariff]:
    """On demand alone, and with spot above the floor; two GPUs a replica, so two replicas a machine."""
    assumptions = SpotAssumptions(reclaims_per_machine_hour=0.1, node_start_s=120.0)
    on_demand, spot = tariffs(
        rental(),
        tensor_parallel_size=2,
        spot=SpotSpec(allowed=True, on_demand_floor=floor),
        start_s=80.0,
        stream_s=stream_s,
        assumptions=assumptions,
    )
    return on_demand, spot


def demand_of(prompt: float, output: float, *, rate: float) -> Demand:
    return Demand(
        typical_rate=Derived(value=rate, reason=""),
        peak_rate=Derived(value=rate, reason=""),
        traffic=None,  # type: ignore[arg-type]  # no request is served here
        mean_prompt_tokens=prompt,
        mean_output_tokens=output,
        p95_prompt_tokens=round(prompt),
        longest_request=Derived(value=round(prompt + output), reason=""),
    )


def test_machines_are_rented_whole() -> None:
    """Three replicas, two to a machine of $8: two machines."""
    on_demand, _ = both()
    cost = on_demand.cost(3)

    assert (cost.on_demand_machines, cost.spot_machines, cost.accelerators) == (2, 0, 8)
    assert cost.usd_per_hour == 16.0
    assert cost.usd_per_month == 16.0 * 730


def test_the_floor_stays_on_demand_and_fills_its_machine() -> None:
    """Five replicas, one never on spot: its machine holds two, the other three take two spot machines."""
    _, spot = both(floor=1)
    cost = spot.cost(5)

    assert (cost.on_demand_machines, cost.spot_machines) == (1, 2)
    assert cost.spot_share == pytest.approx(2 / 3)
    # 0.1 reclaims an hour, each 120 s of a machine's start and 80 s of the engine's.
    assert cost.reclaims_usd_per_hour == pytest.approx(2 * 2.0 * 0.1 * 200 / 3600)
    assert cost.usd_per_hour == pytest.approx(8.0 + 4.0 + cost.reclaims_usd_per_hour)


def test_streams_longer_than_the_notice_are_done_again() -> None:
    """30 s of notice save a stream of 20 s, and lose half of one of 60 s."""
    assert both(stream_s=20.0)[1].reclaim_s == 200.0
    assert both(stream_s=60.0)[1].reclaim_s == 230.0


def test_no_spot_without_a_price() -> None:
    """A machine without a spot price is rented on demand."""
    found = tariffs(
        replace(rental(), spot=None),
        tensor_parallel_size=1,
        spot=SpotSpec(allowed=True),
        start_s=80.0,
        stream_s=0.0,
        assumptions=SpotAssumptions(),
    )

    assert [tariff.uses_spot for tariff in found] == [False]


@given(few=st.integers(1, 50), more=st.integers(0, 50), floor=st.integers(0, 5))
def test_more_replicas_never_cost_less_on_demand(few: int, more: int, floor: int) -> None:
    """On spot too, once the floor is reached: below it a replica may move to a cheaper machine, but none is added."""
    on_demand, spot = both(floor=floor)

    assert on_demand.cost(few).usd_per_hour <= on_demand.cost(few + more).usd_per_hour
    assert spot.cost(few).usd_per_hour <= spot.cost(few + more).usd_per_hour
    assert spot.cost(few).usd_per_hour <= on_demand.cost(few).usd_per_hour


@given(share=st.floats(0.01, 0.99), rate=st.floats(0.1, 1000), usd=st.floats(0.01, 1000))
def test_token_prices_add_up_to_the_bill(share: float, rate: float, usd: float) -> None:
    """Tokens of an hour times their prices are the dollars of the hour, however they are split."""
    wanted = demand_of(400, 100, rate=rate)
    price = token_price(usd, rate, wanted, input_share=share)
    bill = 3600 * rate * (400 * price.input_usd + 100 * price.output_usd) / 1e6

    assert bill == pytest.approx(usd)


def test_break_even_is_where_both_cost_the_same() -> None:
    """Two replicas on one machine for $8/h against $0.0005 a request: from 4.44 req/s on."""
    on_demand, _ = both()
    wanted = demand_of(1000, 500, rate=10)
    even = break_even(
        on_demand, TokenPrice(input_usd=0.25, output_usd=0.5), wanted, capacity_rate=5.0, fleet=range(2, 5)
    )

    assert even.replicas == 2
    assert even.rate == pytest.approx(8.0 / (3600 * 0.0005))
    assert even.tokens_per_day == pytest.approx((even.rate or 0) * 1500 * 86400)
    assert even.api_usd_per_hour_typical == pytest.approx(10 * 3600 * 0.0005)


def test_an_api_that_is_always_cheaper_is_called_so() -> None:
    """At a hundredth of that price no fleet that is allowed gets there."""
    on_demand, _ = both()
    wanted = demand_of(1000, 500, rate=10)
    even = break_even(
        on_demand, TokenPrice(input_usd=0.0025, output_usd=0.005), wanted, capacity_rate=5.0, fleet=range(2, 5)
    )

    assert even.rate is None
    assert "even full" in even.reason
