"""Which machines a spec may use."""

from typing import Any

import pytest

from flyball.catalog import load_catalog
from flyball.planning.rental import rentals
from flyball.spec import HardwareSpec


def test_a_cloud_means_its_machines() -> None:
    """Spot prices only where the spec allows spot."""
    catalog = load_catalog()
    plain, _ = rentals(HardwareSpec(cloud="aws"), catalog)
    spot, _ = rentals(HardwareSpec.model_validate({"cloud": "aws", "spot": {"allowed": True}}), catalog)

    assert {place.machine.cloud.name for place in plain} == {"aws"}
    assert all(place.spot is None for place in plain)
    assert any(place.spot is not None for place in spot)


def test_no_cloud_means_ones_own_machines() -> None:
    """Once the catalog file names one, nothing else is considered; without a price it costs nothing more."""
    mine: dict[str, Any] = {"machines": [{"name": "rack", "accelerator": "A100-80GB", "count": 4}]}
    (place,), scope = rentals(HardwareSpec(cloud="none"), load_catalog(mine))

    assert (place.machine.name, scope) == ("rack", "your own machines")
    assert not place.is_priced
    assert not place.price_is_missing


def test_no_cloud_and_no_machines_means_every_accelerator() -> None:
    """At the prices of the neoclouds; those that they lack have a price that is missing."""
    catalog = load_catalog()
    places, scope = rentals(HardwareSpec(cloud="none"), catalog)

    assert {place.machine.accelerator for place in places} == {chip.name for chip in catalog.accelerators}
    assert "lambda" in scope
    for place in places:
        assert place.price_is_missing != place.is_priced


@pytest.mark.parametrize(
    ("spot", "count"), [({}, 1), ({"allowed": True}, 1), ({"allowed": True, "on_demand_floor": 0}, 2)]
)
def test_a_machine_with_a_spot_price_alone_needs_spot_for_all(spot: dict[str, Any], count: int) -> None:
    """Where replicas must stay on demand it is left out, and the scope says so; it is not taken for a free one."""
    mine: dict[str, Any] = {
        "machines": [
            {"name": "steady", "accelerator": "L4"},
            {"name": "cheap", "accelerator": "L4", "spot": {"usd_per_hour": 0.1}},
        ]
    }
    places, scope = rentals(HardwareSpec.model_validate({"cloud": "none", "spot": spot}), load_catalog(mine))

    assert [place.machine.name for place in places] == ["steady", "cheap"][:count]
    assert ("1 left out" in scope) == (count == 1)


@pytest.mark.parametrize("spelled", ["H200", "h200", "NVIDIA H200"])
def test_accelerators_are_named_in_any_spelling(spelled: str) -> None:
    """As in the catalog's own commands."""
    places, _ = rentals(HardwareSpec(cloud="aws", accelerators=(spelled,)), load_catalog())

    assert {place.machine.accelerator for place in places} == {"H200"}
