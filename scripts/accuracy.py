"""Writes the speed part of docs/accuracy.md: every measured load that flyball has, predicted against measured.

    python scripts/accuracy.py                  the loads in tests/perf/data; two minutes, most of it refitting
    python scripts/accuracy.py --public FOLDER  also the public points, from the files that the page names; ten

The public files stay where they are; what is kept of them is docs/accuracy-public.csv: errors, not measurements.
"""

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from flyball.catalog import load_catalog
from flyball.cli.measured_files import MeasuredServer, read_measured
from flyball.perf.calibration import Residual, fit_efficiency, residuals, spread
from flyball.perf.calibrations import calibration_for, shipped_calibrations
from flyball.perf.efficiency import Efficiency
from flyball.perf.measured_load import MeasuredLoad

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "accuracy.md"
PUBLIC_POINTS = ROOT / "docs" / "accuracy-public.csv"
BEGIN, END = "<!-- speed: written by scripts/accuracy.py -->", "<!-- end of speed -->"
H200_LOADS = ROOT / "tests" / "perf" / "data" / "h200-llama-3.1-8b-loads.jsonl"
PUBLIC = (
    ("nvidia-vllm-aggregated.csv", None),
    ("rtx4090/Llama-3.1-8B", None),
    ("rtxpro6000/Qwen3-32B", "RTX-PRO-6000"),
)
ODD = ("H200", "0.12.0")
"""Points that are not fitted; the page says why."""
MOST_LEFT = 20
Errors = dict[str, dict[str, Residual]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--public", type=Path, help="the folder with the public files")
    arguments = parser.parse_args()
    if arguments.public is not None:
        write_public_points(arguments.public)
    lines = [*factors(), *h200(), *(public() if PUBLIC_POINTS.exists() else ())]
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(before + BEGIN + "\n\n" + "\n".join(lines) + "\n" + END + rest.partition(END)[2])


def factors() -> Iterator[str]:
    yield "### Calibrations that ship"
    yield ""
    yield "Expected error is what predictions for other loads are given as their interval."
    yield ""
    calibrations = shipped_calibrations()
    columns = [*(each.efficiency for each in calibrations), Efficiency()]
    yield from table(
        ["", *(f"{each.accelerator}, {each.version}" for each in calibrations), "typical"],
        [
            ["loads fitted", *(str(each.loads) for each in calibrations), "0"],
            ["expected error, TPOT and throughput", *(f"{each.error:.0%}" for each in calibrations), "35%"],
            ["expected error, TTFT", *(f"{each.ttft_error:.0%}" for each in calibrations), "35%"],
            *([f"`{name}`", *(factor(getattr(each, name)) for each in columns)] for name in asdict(Efficiency())),
        ],
    )
    for each in calibrations:
        yield f"- {each.accelerator}, {each.version}: {', '.join(each.models)}. {each.source}. As of {each.as_of}."
    yield ""


def h200() -> Iterator[str]:
    loads = h200_loads()
    fitted = errors(loads, calibration_for(loads[0].engine.accelerator, "0.26.0").efficiency)
    left_out: Errors = {}
    with ProcessPoolExecutor() as pool:
        for found in pool.map(without_one, range(len(loads))):
            left_out |= found
    yield "### H200, Llama-3.1-8B, vLLM 0.26.0"
    yield ""
    yield "Measured, and the error of the prediction with the factors above; in brackets with factors fitted to the"
    yield "other eleven loads only, from the typical ones."
    yield ""
    shown = ("tpot_mean_s", "ttft_mean_s", "ttft_p95_s", "requests_per_s")
    yield from table(
        ["load", "TPOT mean", "TTFT mean", "TTFT p95", "requests/s"],
        [[load.name, *(cell(fitted[load.name][name], left_out[load.name][name]) for name in shown)] for load in loads],
    )


def without_one(index: int) -> Errors:
    """Of one load, with factors fitted to the others."""
    loads = h200_loads()
    load = loads.pop(index)
    return errors([load], fit_efficiency(loads, start=Efficiency()))


def public() -> Iterator[str]:
    """By chip, model and TP; the points themselves stand in the CSV file."""
    rows = list(csv.DictReader(PUBLIC_POINTS.read_text().splitlines()))
    groups: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        groups[row["accelerator"], ", ".join(row["load"].split(", ")[:2])].append(row)
    yield "### Public points"
    yield ""
    yield "Mean TTFT and TPOT: the median of the errors' sizes, and what nine of ten stay within. In brackets with"
    yield "factors fitted to the other models on that chip only: what to expect of one that was never measured there."
    yield f"Over all of those: TTFT {sizes(rows, 'ttft_left_out')}, TPOT {sizes(rows, 'tpot_left_out')}."
    yield f"Each point has a line of its own in [{PUBLIC_POINTS.name}]({PUBLIC_POINTS.name})."
    yield ""
    yield "How those engines were started is mostly unknown: flags are taken as the defaults, and hosts differ, which"
    yield "shows in TTFT. The points of vLLM 0.12 on H200 are not fitted: decode steps of Qwen3-235B-A22B took as long"
    yield "as launches without CUDA graphs would, prompts of Llama-3.1-8B less than their FLOPs at the chip's rate."
    yield ""
    yield from table(
        ["chip", "model", "points", "TTFT median, 90 %", "TPOT median, 90 %"],
        [
            [chip, model, str(len(points)), *(both(points, name) for name in ("ttft", "tpot"))]
            for (chip, model), points in sorted(groups.items())
        ],
    )


def both(points: Sequence[dict[str, str]], name: str) -> str:
    left_out = sizes(points, f"{name}_left_out")
    return sizes(points, f"{name}_error") + (f" ({left_out})" if left_out else "")


def sizes(points: Sequence[dict[str, str]], column: str) -> str:
    """The median, and what nine of ten stay within; nothing where there is none."""
    found = [abs(float(point[column])) for point in points if point[column]]
    return f"{np.median(found):.0%}, {np.percentile(found, 90):.0%}" if found else ""


def write_public_points(folder: Path) -> None:
    catalog = load_catalog()
    loads = [
        load
        for name, chip in PUBLIC
        for load in read_measured(folder / name, MeasuredServer(catalog=catalog, accelerator=chip))[0]
    ]
    left_out = {id(load): found for load, found in without_its_model(loads)}
    rows = []
    for load in loads:
        engine = load.engine
        found = [calibration_for(engine.accelerator, engine.version).efficiency, left_out.get(id(load))]
        cells = [point_errors(load, efficiency) for efficiency in found]
        rows.append((engine.accelerator.name, engine.version, load.name, *cells[0], *cells[1]))
    with PUBLIC_POINTS.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("accelerator", "vllm", "load", "ttft_error", "tpot_error", "ttft_left_out", "tpot_left_out"))
        writer.writerows(sorted(rows))


def without_its_model(loads: Sequence[MeasuredLoad]) -> Iterator[tuple[MeasuredLoad, Efficiency]]:
    """Each load of a chip that several models were measured on, with factors fitted to the other models alone."""
    usual = [load for load in loads if (load.engine.accelerator.name, load.engine.version) != ODD]
    for chip, model in sorted({(load.engine.accelerator.name, load.engine.model.name) for load in usual}):
        of_chip = [load for load in usual if load.engine.accelerator.name == chip]
        others = [load for load in of_chip if load.engine.model.name != model]
        if not others:
            continue
        with ProcessPoolExecutor() as pool:
            over = partial(pool.map, chunksize=2)
            efficiency = fit_efficiency(spread(others, MOST_LEFT), start=Efficiency(), over=over)
        yield from ((load, efficiency) for load in of_chip if load.engine.model.name == model)


def point_errors(load: MeasuredLoad, efficiency: Efficiency | None) -> tuple[str, str]:
    if efficiency is None:
        return "", ""
    (found,) = errors([load], efficiency).values()
    ttft, tpot = (f"{found[name].error:.3f}" for name in ("ttft_mean_s", "tpot_mean_s"))
    return ttft, tpot


def h200_loads() -> list[MeasuredLoad]:
    loads, _ = read_measured(H200_LOADS, MeasuredServer(catalog=load_catalog(), accelerator="H200", version="0.26.0"))
    return loads


def errors(loads: Sequence[MeasuredLoad], efficiency: Efficiency) -> Errors:
    found: Errors = defaultdict(dict)
    for each in residuals(loads, efficiency):
        found[each.load][each.statistic] = each
    return dict(found)


def cell(fitted: Residual, left_out: Residual) -> str:
    measured = f"{fitted.measured:.2f}" if fitted.statistic == "requests_per_s" else f"{fitted.measured * 1000:.1f} ms"
    return f"{measured}, {fitted.error:+.1%} ({left_out.error:+.1%})"


def factor(value: float) -> str:
    return f"{value:.2f}" if value >= 0.01 else f"{value * 1e6:,.0f} us"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "| " + " | ".join("---" for _ in head) + " |"
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


if __name__ == "__main__":
    main()
