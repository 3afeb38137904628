"""`flyball catalog`."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from flyball.catalog import RELEASES, Catalog, InstanceType, advisories, load_catalog, release
from flyball.cli.catalog_tables import print_accelerators, print_machines, print_releases
from flyball.cli.spec_file import read_text
from flyball.spec import parse_yaml


def catalog(
    *,
    kind: Literal["accelerators", "machines", "releases"] = "machines",
    cloud: str | None = None,
    accelerator: str | None = None,
    catalog: Annotated[Path | None, Parameter(name="--catalog")] = None,
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table",
) -> None:
    """List the accelerators, machines and vLLM releases that flyball knows, with the source and date of each figure.

    Parameters
    ----------
    kind
        machines with their prices, accelerators with their rates, or vLLM releases.
    cloud
        Only what this cloud has: aws, gcp, azure, lambda, runpod, or one of your file.
    accelerator
        Only this one, in any spelling: H100, a100-80gb.
    catalog
        A YAML file with your own `accelerators`, `clouds` and `machines`; rows are merged over those of the same name.
    output
        A table, or JSON with everything that is known.

    """
    if kind == "releases":
        rows = [_release_row(version) for version in RELEASES]
        print_releases(rows) if output == "table" else print(json.dumps(rows, indent=2))
        return
    known = load_catalog(None if catalog is None else parse_yaml(read_text(catalog), source=str(catalog)))
    if kind == "accelerators":
        chips = [known.accelerator(accelerator)] if accelerator else list(known.accelerators)
        if cloud:
            there = {machine.accelerator for machine in known.machines(cloud=cloud)}
            chips = [chip for chip in chips if chip.name in there]
        _say_if_empty(chips)
        print_accelerators(chips) if output == "table" else _print_json(map(asdict, chips))
        return
    machines = known.machines(cloud=cloud, accelerator=accelerator)
    _say_if_empty(machines)
    if output == "json":
        _print_json({**asdict(machine), "offerings": _offers(known, machine)} for machine in machines)
    else:
        print_machines(known, machines)


def _say_if_empty(found: Sequence[object]) -> None:
    if not found:
        print("nothing in the catalog matches; a file of your own adds to it (--catalog)", file=sys.stderr)


def _print_json(rows: Iterable[dict[str, Any]]) -> None:
    print(json.dumps(list(rows), indent=2, default=str))


def _offers(known: Catalog, machine: InstanceType) -> list[dict[str, Any]]:
    offers = [asdict(offering) for offering in known.prices if offering.instance_type is machine]
    return [{key: value for key, value in offer.items() if key != "instance_type"} for offer in offers]


def _release_row(version: str) -> dict[str, Any]:
    known = release(version)
    position = RELEASES.index(version)
    before = release(RELEASES[position - 1]) if position else known
    return {
        "version": version,
        "flags": len(known.flags),
        "flags_added": sorted(set(known.flags) - set(before.flags)),
        "flags_removed": sorted(set(before.flags) - set(known.flags)),
        "metrics": len(known.metrics),
        "metrics_added": sorted(set(known.metrics) - set(before.metrics)),
        "gpu_memory_utilization": known.gpu_memory_utilization,
        "block_size": known.block_size,
        "estimates_cuda_graph_memory": known.estimates_cuda_graph_memory,
        "advisories": [{"id": each.id, "title": each.title, "fixed_in": each.fixed_in} for each in advisories(version)],
    }
