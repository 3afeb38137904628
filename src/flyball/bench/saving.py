"""The run folder of a measurement: what was asked, every request, what it comes to."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flyball.bench.benchmark import Benchmark, BenchmarkResult
from flyball.errors import OutsideError
from flyball.measurement import records_to_json


def save(folder: Path, benchmark: Benchmark, result: BenchmarkResult, provenance: Mapping[str, str]) -> None:
    """Write into `folder`, which is there. Raises OutsideError."""
    files = {
        "inputs.json": _json({**provenance, **benchmark.to_dict(), "model": result.model}),
        "records.jsonl": records_to_json(result.records),
        "warm-up.jsonl": records_to_json(result.warm_up),
        "summary.json": _json(result.to_dict()),
    }
    try:
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutsideError(f"cannot write to {folder}: {error.strerror}", fix="free space, or use --out") from error


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, allow_nan=False) + "\n"
