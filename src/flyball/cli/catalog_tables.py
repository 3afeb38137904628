"""The catalog as tables for people: figures, numbered sources below, and what to know about a row."""

import sys
from collections.abc import Collection, Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

from flyball.catalog import Accelerator, Catalog, InstanceType, Offering
from flyball.units import GIB

_PIPED_WIDTH = 220  # a table that goes into a file or a pipe is not cut at 80 columns


class _Sources:
    """Numbers for sources in a table, and their list below it."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, object], int] = {}

    def mark(self, source: str, as_of: object) -> str:
        return f"[{self.seen.setdefault((source, as_of), len(self.seen) + 1)}]"

    def lines(self) -> list[str]:
        return [f"[{number}] {source}{f', {as_of}' if as_of else ''}" for (source, as_of), number in self.seen.items()]


def _show(columns: str, rows: Iterable[tuple[str, ...]], footer: Iterable[str]) -> None:
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH, highlight=False, markup=False)
    table = Table(box=None, pad_edge=False)
    for column in columns.split("|"):
        table.add_column(column.strip("<"), justify="left" if column.startswith("<") else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    console.print()
    for line in footer:
        console.print(line, soft_wrap=True)


def print_machines(known: Catalog, machines: Iterable[InstanceType]) -> None:
    sources, rows, notes = _Sources(), [], []
    for machine in machines:
        prices = {offer.capacity_type: offer for offer in known.prices if offer.instance_type is machine}
        on_demand, spot = prices.get("on-demand"), prices.get("spot")
        memory = "-" if machine.memory_bytes is None else f"{machine.memory_bytes / GIB:.0f}"
        per_gpu = "-" if on_demand is None else f"{on_demand.price_usd_per_accelerator_hour:.2f}"
        place = (machine.cloud.name, machine.name, f"{machine.accelerator_count} x {machine.accelerator}")
        asked = (_price(on_demand, sources), per_gpu, _price(spot, sources))
        region = on_demand.region if on_demand else ""
        rows.append((*place, str(machine.vcpus or "-"), memory, region, *asked))
        texts = (machine.note, *(offer.note for offer in prices.values()))
        notes += [f"{machine.name}: {text}" for text in texts if text]
    columns = "<cloud|<machine|<accelerators|vCPU|GiB|<region|on demand $/h|$/GPU/h|spot $/h"
    _show(columns, rows, [*sources.lines(), *notes])


def _price(offering: Offering | None, sources: _Sources) -> str:
    return (
        "-"
        if offering is None
        else f"{offering.price_usd_per_hour:.3f} {sources.mark(offering.source, offering.as_of)}"
    )


def print_accelerators(chips: Collection[Accelerator]) -> None:
    sources, rows = _Sources(), []
    for chip in chips:
        rates = (_tera(chip.dense_flops_per_s.get(dtype)) for dtype in ("fp16", "fp8", "fp4", "int8"))
        memory = (f"{chip.memory_bytes / GIB:.1f}", f"{chip.memory_bandwidth_bytes_per_s / 1e9:.0f}")
        link = f"{chip.interconnect.kind} {chip.interconnect.bytes_per_s / 1e9:.0f}"
        capability = ".".join(map(str, chip.compute_capability))
        rows.append((chip.name, *memory, *rates, capability, link, sources.mark(chip.source, chip.as_of)))
    columns = "<accelerator|visible GiB|GB/s|fp16|fp8|fp4|int8 dense Tflop/s|capability|<link GB/s a direction|<source"
    notes = [f"{chip.name}: {chip.note}" for chip in chips if chip.note]
    _show(columns, rows, [*sources.lines(), *notes])


def _tera(rate: float | None) -> str:
    return "-" if rate is None else f"{rate / 1e12:.0f}"


def print_releases(rows: Iterable[dict[str, Any]]) -> None:
    shown = [
        (
            row["version"],
            str(row["flags"]),
            f"+{len(row['flags_added'])} -{len(row['flags_removed'])}",
            str(row["metrics"]),
            ", ".join(each["id"] for each in row["advisories"]) or "none known",
        )
        for row in rows
    ]
    _show(
        "<vLLM|flags|changed|metrics|<advisories", shown, ["read from each release's own code; -o json names the flags"]
    )
