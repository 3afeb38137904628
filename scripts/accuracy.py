"""Writes the speed part of docs/accuracy.md: every measured load that flyball has, predicted against measured.

    python scripts/accuracy.py                  the loads in tests/perf/data; about five minutes, most of it refitting
    python scripts/accuracy.py --public FOLDER  also the public points, from the files that the page names

The public files stay where they are; what is kept of them is docs/accuracy-public.csv: errors, not measurements.
"""

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from flyball.catalog import load_catalog
from flyball.cli.measured_files import MeasuredServer, read_measured
from flyball.perf.calibration import Residual, fit_efficiency, residuals
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
    for load in loads:
        others = [each for each in loads if each is not load]
        left_out |= errors([load], fit_efficiency(others, start=Efficiency()))
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


def public() -> Iterator[str]:
    """By chip, model and TP; the points themselves stand in the CSV file."""
    groups: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for row in csv.DictReader(PUBLIC_POINTS.read_text().splitlines()):
        model = ", ".join(row["load"].split(", ")[:2])
        groups[row["accelerator"], model].append((float(row["ttft_error"]), float(row["tpot_error"])))
    yield "### Public points"
    yield ""
    yield "Mean TTFT and TPOT: the median of the errors' sizes, and what nine of ten stay within. Each point has a line"
    yield f"of its own in [{PUBLIC_POINTS.name}]({PUBLIC_POINTS.name}). How those engines were started is mostly"
    yield "unknown: flags are taken as the defaults, and hosts differ, which shows in TTFT."
    yield ""
    yield from table(
        ["chip", "model", "points", "TTFT median, 90 %", "TPOT median, 90 %"],
        [
            [chip, model, str(len(points)), *(spread([point[i] for point in points]) for i in (0, 1))]
            for (chip, model), points in sorted(groups.items())
        ],
    )


def write_public_points(folder: Path) -> None:
    catalog = load_catalog()
    rows = []
    for name, chip in PUBLIC:
        loads, _ = read_measured(folder / name, MeasuredServer(catalog=catalog, accelerator=chip))
        for load in loads:
            engine = load.engine
            efficiency = calibration_for(engine.accelerator, engine.version).efficiency
            (found,) = errors([load], efficiency).values()
            sizes = (f"{found[each].error:.3f}" for each in ("ttft_mean_s", "tpot_mean_s"))
            rows.append((engine.accelerator.name, engine.version, load.name, *sizes))
    with PUBLIC_POINTS.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("accelerator", "vllm", "load", "ttft_error", "tpot_error"))
        writer.writerows(sorted(rows))


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


def spread(found: Sequence[float]) -> str:
    sizes = np.abs(found)
    return f"{np.median(sizes):.0%}, {np.percentile(sizes, 90):.0%}"


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
