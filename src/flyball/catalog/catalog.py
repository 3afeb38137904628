"""Accelerators, machines and prices as one value: flyball's own data with a user's merged over it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from flyball.catalog.accelerator import Accelerator, accelerator_named, spelling
from flyball.catalog.machine import CapacityType, Cloud, InstanceType, Offering
from flyball.catalog.package_data import package_data
from flyball.catalog.rows import AcceleratorRow, CatalogFile, CloudRow, MachineRow, PriceRow, Row, validated
from flyball.errors import UsageError
from flyball.units import GIB

INSTANCE_TYPE_LABEL = "node.kubernetes.io/instance-type"
"""Kubernetes' well-known label; every cloud's controller sets it to the machine's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """What can be rented or is owned, and what each chip can do."""

    accelerators: tuple[Accelerator, ...]
    clouds: tuple[Cloud, ...]
    instance_types: tuple[InstanceType, ...]
    prices: tuple[Offering, ...]

    def accelerator(self, name: str) -> Accelerator:
        """By name, alias or CUDA's device name, in any case; UsageError with the nearest names otherwise."""
        return accelerator_named(name, self.accelerators)

    def cloud(self, name: str) -> Cloud:
        """UsageError, with those known, if no machine is there."""
        found = next((cloud for cloud in self.clouds if cloud.name == name.lower()), None)
        if found is None:
            known = ", ".join(cloud.name for cloud in self.clouds)
            raise UsageError(f"cloud {name!r} is not in the catalog", fix=f"known: {known}")
        return found

    def machines(self, *, cloud: str | None = None, accelerator: str | None = None) -> tuple[InstanceType, ...]:
        """Those of the cloud and with the accelerator; also those without a price."""
        place = self.cloud(cloud).name if cloud else None
        chip = self.accelerator(accelerator).name if accelerator else None
        return tuple(
            machine
            for machine in self.instance_types
            if place in (None, machine.cloud.name) and chip in (None, machine.accelerator)
        )

    def offerings(
        self, *, cloud: str | None = None, accelerator: str | None = None, capacity_type: CapacityType | None = None
    ) -> tuple[Offering, ...]:
        """The priced ones among `machines`, cheapest per accelerator first."""
        machines = self.machines(cloud=cloud, accelerator=accelerator)
        found = [
            offering
            for offering in self.prices
            if offering.instance_type in machines and capacity_type in (None, offering.capacity_type)
        ]
        return tuple(sorted(found, key=lambda offering: offering.price_usd_per_accelerator_hour))


def load_catalog(extra: Mapping[str, Any] | None = None) -> Catalog:
    """The catalog of this release of flyball, with a user's rows in it.

    `extra` is a parsed catalog file; each of its rows is merged, key by key, over flyball's row of the same name, and
    added where there is none. UsageError names the key path that is wrong.
    """
    given = validated(CatalogFile, {} if extra is None else extra, where="")
    accelerators = tuple(row.accelerator() for row in merged(AcceleratorRow, "accelerators", given.accelerators))
    check_accelerators(given.machines, accelerators)
    machines = merged(MachineRow, "machines", given.machines)
    clouds = {row.name: row.cloud() for row in merged(CloudRow, "clouds", given.clouds)}
    for name in (row.cloud for row in machines):
        clouds.setdefault(name, CloudRow(name=name).cloud())
    pairs = [(row, instance_type(row, clouds[row.cloud], accelerators)) for row in machines]
    return Catalog(
        accelerators=accelerators,
        clouds=tuple(clouds.values()),
        instance_types=tuple(machine for _, machine in pairs),
        prices=tuple(offering for row, machine in pairs for offering in priced(row, machine)),
    )


RowModel = TypeVar("RowModel", bound=Row)


def merged(model: type[RowModel], kind: str, extra: Iterable[Mapping[str, Any]]) -> list[RowModel]:
    """All rows of that kind, those of `extra` over flyball's own."""
    documents = {row_key(row): row for row in package_data(f"{kind}.yaml")}
    rows = {key: model.model_validate(row) for key, row in documents.items()}
    for position, row in enumerate(extra):
        key = row_key(row)
        rows[key] = validated(model, documents.get(key, {}) | dict(row), where=f"{kind}[{position}]")
    return list(rows.values())


def check_accelerators(machines: Iterable[Mapping[str, Any]], accelerators: Sequence[Accelerator]) -> None:
    """Refuse (UsageError) a user's machine with a chip that nobody described."""
    for position, row in enumerate(machines):
        if isinstance(row.get("accelerator"), str):
            try:
                accelerator_named(row["accelerator"], accelerators)
            except UsageError as error:
                what = f"catalog file: machines[{position}].accelerator: {error.what}"
                raise UsageError(what, fix=error.fix) from error


def row_key(row: Mapping[str, Any]) -> tuple[str, str]:
    return str(row.get("cloud", "none")), spelling(str(row.get("name", "")))


def instance_type(row: MachineRow, cloud: Cloud, accelerators: Sequence[Accelerator]) -> InstanceType:
    labels = dict(row.labels)
    if cloud.gpu_label is not None:
        labels[INSTANCE_TYPE_LABEL] = row.name
        if row.gpu_label is not None:
            labels[cloud.gpu_label] = row.gpu_label
    return InstanceType(
        cloud=cloud,
        name=row.name,
        accelerator=accelerator_named(row.accelerator, accelerators).name,
        accelerator_count=row.count,
        vcpus=row.vcpus,
        memory_bytes=None if row.memory_gib is None else int(row.memory_gib * GIB),
        node_labels=labels,
        source=row.source,
        as_of=row.as_of,
        note=row.note,
    )


def priced(row: MachineRow, machine: InstanceType) -> list[Offering]:
    asked: list[tuple[CapacityType, PriceRow | None]] = [("on-demand", row.on_demand), ("spot", row.spot)]
    return [
        Offering(
            instance_type=machine,
            capacity_type=capacity_type,
            region=price.region or row.region,
            price_usd_per_hour=price.usd_per_hour,
            source=price.source,
            as_of=price.as_of,
            note=price.note,
        )
        for capacity_type, price in asked
        if price is not None
    ]
