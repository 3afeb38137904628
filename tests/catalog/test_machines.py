"""The machine and price rows, and a user's own merged over them."""

import re
from typing import Any

import pytest

from flyball.catalog import InstanceType, Offering, load_catalog
from flyball.errors import UsageError
from flyball.units import GIB

CATALOG = load_catalog()


def identity(machine: InstanceType) -> str:
    return f"{machine.cloud.name}/{machine.name}"


@pytest.mark.parametrize("machine", CATALOG.instance_types, ids=identity)
def test_machines_are_sourced_and_refer_to_a_known_chip(machine: InstanceType) -> None:
    """Every row has a source with a date, a chip of the catalog, and a price or a note that says why there is none."""
    assert machine.source
    assert machine.as_of is not None
    assert CATALOG.accelerator(machine.accelerator).name == machine.accelerator
    assert machine.accelerator_count in (1, 2, 4, 8)
    assert machine.note or any(offering.instance_type is machine for offering in CATALOG.prices)


@pytest.mark.parametrize("offering", CATALOG.prices, ids=lambda each: f"{each.instance_type.name}-{each.capacity_type}")
def test_prices_are_sourced_and_in_range(offering: Offering) -> None:
    """Every price has a source with a date; a GPU hour costs between 20 cents and 20 dollars."""
    assert offering.source
    assert offering.as_of is not None
    assert 0.2 < offering.price_usd_per_accelerator_hour < 20


def test_spot_is_below_on_demand() -> None:
    """No reclaimable machine is dearer than the one that stays."""
    on_demand = {identity(o.instance_type): o for o in CATALOG.offerings(capacity_type="on-demand")}
    spot = CATALOG.offerings(capacity_type="spot")
    assert len(spot) > 5
    for offering in spot:
        assert offering.price_usd_per_hour < on_demand[identity(offering.instance_type)].price_usd_per_hour
        assert offering.instance_type.cloud.spot_notice_s


def test_prices_of_a_chip_are_of_one_order() -> None:
    """A whole machine's price taken for one GPU's, or one GPU's for the machine's, is eight times off; no cloud is."""
    for chip in CATALOG.accelerators:
        rates = [
            each.price_usd_per_accelerator_hour
            for each in CATALOG.offerings(accelerator=chip.name, capacity_type="on-demand")
        ]
        assert not rates or max(rates) < 4 * min(rates)


def test_names_that_tell_the_number_of_gpus_are_right() -> None:
    """GCP's `-8g`, Lambda's `8x_` and RunPod's ` x1` say how many there are; AWS's 24xlarge and 48xlarge have 8."""
    told = 0
    for machine in CATALOG.instance_types:
        found = re.search(r"-(\d)g$|_(\d)x_| x(\d)$", machine.name)
        if found:
            told += 1
            assert machine.accelerator_count == int(next(filter(None, found.groups())))
        elif machine.name.endswith(("24xlarge", "48xlarge")):
            assert machine.accelerator_count == 8
    assert told > 15


def test_more_gpus_of_a_kind_do_not_cost_less() -> None:
    """Within a cloud, a machine with more of the same chip costs more, at one region's list price."""
    for small in CATALOG.offerings(capacity_type="on-demand"):
        for large in CATALOG.offerings(
            cloud=small.instance_type.cloud.name, accelerator=small.instance_type.accelerator, capacity_type="on-demand"
        ):
            if large.instance_type.accelerator_count > small.instance_type.accelerator_count:
                assert large.price_usd_per_hour > small.price_usd_per_hour


def test_identities_are_unique() -> None:
    """A machine is listed once a cloud, and a price once a machine and capacity type."""
    machines = [identity(machine) for machine in CATALOG.instance_types]
    prices = [(identity(offering.instance_type), offering.capacity_type) for offering in CATALOG.prices]
    assert len(set(machines)) == len(machines)
    assert len(set(prices)) == len(prices)


def test_spot_notice_of_each_cloud() -> None:
    """AWS gives two minutes; GCP 30 s, of which GKE's pods get 15; Azure 30 s; the others have no spot."""
    notices = {cloud.name: (cloud.spot_notice_s, cloud.pod_notice_s) for cloud in CATALOG.clouds}
    assert notices["aws"] == (120, 120)
    assert notices["gcp"] == (30, 15)
    assert notices["azure"] == (30, 30)
    assert notices["lambda"] == notices["runpod"] == (None, None)


def test_node_labels_are_the_clouds_own() -> None:
    """A machine of a Kubernetes cloud can be selected by its type, and by the chip where the label is known."""
    labels = {identity(machine): machine.node_labels for machine in CATALOG.instance_types}
    assert labels["aws/g6.xlarge"] == {
        "node.kubernetes.io/instance-type": "g6.xlarge",
        "karpenter.k8s.aws/instance-gpu-name": "l4",
    }
    assert labels["gcp/a3-highgpu-8g"]["cloud.google.com/gke-accelerator"] == "nvidia-h100-80gb"
    assert labels["azure/Standard_NC40ads_H100_v5"]["kubernetes.azure.com/accelerator"] == "nvidia"
    assert not labels["runpod/H100 x1"]


def test_offerings_filter_and_sort() -> None:
    """Filters combine; the cheapest accelerator hour is first."""
    found = CATALOG.offerings(cloud="aws", accelerator="h100", capacity_type="on-demand")
    assert {offering.instance_type.name for offering in found} == {"p5.4xlarge", "p5.48xlarge"}
    everywhere = CATALOG.offerings(accelerator="H100")
    rates = [offering.price_usd_per_accelerator_hour for offering in everywhere]
    assert rates == sorted(rates)
    with pytest.raises(UsageError, match="gpc"):
        CATALOG.offerings(cloud="gpc")


def test_a_users_price_replaces_only_the_price() -> None:
    """A row of the same cloud and name keeps what the user does not mention."""
    mine = load_catalog({"machines": [{"cloud": "aws", "name": "g6.xlarge", "on_demand": {"usd_per_hour": 0.6}}]})
    machine = mine.machines(cloud="aws", accelerator="L4")[0]
    price, spot = (
        next(o for o in mine.prices if o.instance_type is machine and o.capacity_type == kind)
        for kind in ("on-demand", "spot")
    )
    assert (price.price_usd_per_hour, price.source) == (0.6, "your catalog file")
    assert spot.price_usd_per_hour == 0.6891
    assert machine.vcpus == 4
    assert len(mine.instance_types) == len(CATALOG.instance_types)


def test_a_users_own_machine_and_chip() -> None:
    """Machines of one's own need a name, a chip and, to be compared, a price; new chips can be described."""
    mine = load_catalog(
        {
            "accelerators": [
                {
                    "name": "A30", "memory_gib": 23.6, "nominal_memory_gib": 24, "bandwidth_gb_per_s": 933,
                    "tflops": {"fp16": 165}, "compute_capability": "8.0",
                }
            ],
            "machines": [
                {
                    "name": "rack-1", "accelerator": "a30", "count": 4, "memory_gib": 256,
                    "labels": {"pool": "gpu"}, "on_demand": {"usd_per_hour": 2.0},
                }
            ],
        }
    )  # fmt: skip
    (offering,) = mine.offerings(cloud="none")
    assert offering.price_usd_per_accelerator_hour == 0.5
    assert offering.instance_type.accelerator == "A30"
    assert offering.instance_type.memory_bytes == 256 * GIB
    assert offering.instance_type.node_labels == {"pool": "gpu"}
    assert offering.instance_type.cloud.spot_notice_s is None


@pytest.mark.parametrize(
    ("extra", "what", "fix"),
    [
        ({"machine": []}, "machine: unknown key", "did you mean machines?"),
        ({"machines": [{"name": "x", "accelerator": "L4", "cuont": 2}]}, "machines[0].cuont", "did you mean count?"),
        (
            {"machines": [{"name": "x", "accelerator": "L4", "on_demand": {"usd": 2}}]},
            "machines[0].on_demand.usd",
            "usd_per_hour",
        ),
        ({"machines": [{"name": "x", "accelerator": "L4", "on_demand": {"usd_per_hour": 0}}]}, "greater than 0", ""),
        ({"machines": [{"name": "x"}]}, "machines[0].accelerator", ""),
        (
            {"machines": [{"name": "x", "accelerator": "L5"}]},
            "machines[0].accelerator: accelerator 'L5'",
            "did you mean",
        ),
        ({"machines": {"a": 1}}, "machines", ""),
        ({"machines": ["x"]}, "machines[0]", ""),
        ({"accelerators": [{"name": "L4", "tflops": {"fp12": 1}}]}, "accelerators[0].tflops.fp12", ""),
        ({"accelerators": [{"name": "L4", "tflops": {"int8": 1}}]}, "accelerators[0].tflops: needs fp16 or bf16", ""),
        ([], "must be a mapping", "accelerators, clouds, machines"),
    ],
)
def test_mistakes_name_the_key_path(extra: Any, what: str, fix: str) -> None:
    """A wrong key or value in the user's file is named by its path, with a way out."""
    with pytest.raises(UsageError) as refusal:
        load_catalog(extra)
    assert what in refusal.value.what
    assert fix in refusal.value.fix
    assert refusal.value.fix
