"""`Rental`: where replicas run: a machine, and what it costs in each capacity type."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flyball.catalog import Accelerator, Catalog, Cloud, InstanceType, Offering
from flyball.planning.configuration import Configuration
from flyball.spec import HardwareSpec, SpotSpec

OWN = "none"
NEOCLOUDS = ("lambda", "runpod")
_ASSUMED = "assumed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rental:
    """A kind of machine. Machines are rented whole, whatever share of them the replicas use."""

    machine: InstanceType
    on_demand: Offering | None = None
    spot: Offering | None = None
    """None: not to be had, without a price, or not allowed by the spec."""

    @property
    def is_priced(self) -> bool:
        return self.on_demand is not None or self.spot is not None

    @property
    def price_is_missing(self) -> bool:
        """A machine of one's own costs nothing more; of any other the price is missing if it is not known."""
        owned = self.machine.cloud.name == OWN and self.machine.source != _ASSUMED
        return not self.is_priced and not owned

    @property
    def label(self) -> str:
        return f"{self.machine.cloud.name} {self.machine.name}"

    def holds(self, configuration: Configuration) -> bool:
        """Whether a replica fits into one machine."""
        return (
            self.machine.accelerator == configuration.accelerator.name
            and self.machine.accelerator_count >= configuration.tensor_parallel_size
        )

    def replicas_per_machine(self, tensor_parallel_size: int) -> int:
        return self.machine.accelerator_count // tensor_parallel_size


def rentals(hardware: HardwareSpec, catalog: Catalog) -> tuple[tuple[Rental, ...], str]:
    """The machines that may be used, with spot prices where the spec allows spot; and which they are, in words.

    `cloud: none` means the machines of the user's catalog file that name no cloud. Without any it means every
    accelerator: at the prices of the neoclouds where they have it, else as a machine of 8 without a price.
    """
    wanted = {catalog.accelerator(name).name for name in hardware.accelerators}
    own = [machine for machine in catalog.instance_types if machine.cloud.name == OWN]
    if hardware.cloud != OWN:
        machines = list(catalog.machines(cloud=hardware.cloud))
        scope = f"machines of {hardware.cloud}"
    elif own:
        machines, scope = own, "your own machines"
    else:
        machines = [machine for machine in catalog.instance_types if machine.cloud.name in NEOCLOUDS]
        there = {machine.accelerator for machine in machines}
        machines += [unpriced(chip) for chip in catalog.accelerators if chip.name not in there]
        scope = f"every accelerator, at prices of {' and '.join(NEOCLOUDS)} where they have it"
    if wanted:
        machines = [machine for machine in machines if machine.accelerator in wanted]
    places = tuple(_priced(machines, catalog, hardware.spot))
    left_out = len(machines) - len(places)
    if left_out:
        scope += f" ({left_out} left out: priced as spot alone, which hardware.spot does not allow for every replica)"
    return places, scope


def unpriced(accelerator: Accelerator) -> InstanceType:
    """A machine that nobody has described: eight GPUs, no price, no labels."""
    return InstanceType(
        cloud=Cloud(name=OWN, spot_labels={}, source=_ASSUMED, as_of=None),
        name=f"{accelerator.name} x8",
        accelerator=accelerator.name,
        accelerator_count=8,
        vcpus=None,
        memory_bytes=None,
        node_labels={},
        source=_ASSUMED,
        as_of=None,
        note="no price known; name your machine and its price in a catalog file",
    )


def _priced(machines: Sequence[InstanceType], catalog: Catalog, spot: SpotSpec) -> Iterator[Rental]:
    """With their prices; without those that can only be had as spot where the spec wants replicas on demand."""
    for machine in machines:
        prices = {offer.capacity_type: offer for offer in catalog.prices if offer.instance_type is machine}
        if "on-demand" in prices or not prices or (spot.allowed and spot.on_demand_floor == 0):
            yield Rental(
                machine=machine,
                on_demand=prices.get("on-demand"),
                spot=prices.get("spot") if spot.allowed else None,
            )
