"""Writes the calibrations that ship, from the loads in tests/perf/data and the public points.

python scripts/accuracy_calibrations.py FOLDER     the folder with the public files; some minutes on two cores
"""

import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from accuracy import ODD, PUBLIC, ROOT, h200_loads

from flyball.catalog import load_catalog
from flyball.cli.measured_files import MeasuredServer, read_measured
from flyball.perf.calibration import Calibration, Over, calibrate
from flyball.perf.calibrations import calibrations_to_json
from flyball.perf.efficiency import Efficiency
from flyball.perf.measured_load import MeasuredLoad

FILE = ROOT / "src" / "flyball" / "perf" / "data" / "calibrations.json"
NVIDIA = "ai-dynamo/aiconfigurator @ 095f58a (Apache-2.0), aggregated vLLM rows for models known here"
SIMULATED = "casys-kaist/LLMServingSim @ 5daddb2 (MIT), bench/examples: vLLM 0.19.0, 300 ShareGPT requests"
OWN = (
    "flyball: one H200, twelve loads of Llama-3.1-8B (tests/perf/data); its factors of experts and of tensor "
    "parallelism are those of the public points on H200"
)


def main() -> None:
    with ProcessPoolExecutor() as pool:
        found = list(calibrations(Path(sys.argv[1]), partial(pool.map, chunksize=2)))
    FILE.write_text(calibrations_to_json(found), encoding="utf-8")


def calibrations(folder: Path, over: Over) -> Iterator[Calibration]:
    server = MeasuredServer(catalog=load_catalog())
    public, *single = ((name, chip) for name, chip in PUBLIC)
    loads, _ = read_measured(folder / public[0], server)
    usual = [load for load in loads if (load.engine.accelerator.name, load.engine.version) != ODD]
    shared = Efficiency()
    for chip in ("H100", "H200", "B200"):
        source = NVIDIA + (", those of 0.12 left out" if chip == ODD[0] else "")
        fitted = _fitted([load for load in usual if load.engine.accelerator.name == chip], source, over)
        yield fitted
        if chip == "H200":
            shared = fitted.efficiency
    names = ("expert_compute", "expert_s_per_layer", "allreduce_s", "interconnect")
    start = replace(Efficiency(), **{name: getattr(shared, name) for name in names})
    # Twice: the second fit begins where queues are about as long as measured, so that its slopes are truer.
    yield _fitted(h200_loads(), OWN, over, _fitted(h200_loads(), OWN, over, start).efficiency)
    for name, chip in single:
        (load,), _ = read_measured(folder / name, replace(server, accelerator=chip))
        gpus = load.engine.settings.tensor_parallel_size
        yield _fitted([load], SIMULATED + (f", {gpus} GPUs" if gpus > 1 else ""), over)


def _fitted(loads: list[MeasuredLoad], source: str, over: Over, start: Efficiency | None = None) -> Calibration:
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    found, _ = calibrate(loads, start=start or Efficiency(), source=source, as_of=today, most=36, over=over)
    print(found.accelerator, found.version, f"{found.error:.1%} {found.ttft_error:.1%}", found.efficiency, flush=True)
    return found


if __name__ == "__main__":
    main()
