"""The folder of a proof: inputs, versions and results, so that it can be read and repeated."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flyball.measurement import record_to_json
from flyball.prove.verdict import LoadRun, Proof


def verdict_document(proof: Proof) -> dict[str, Any]:
    """The verdict as JSON: what `-o json` prints."""
    return {
        "passed": proof.verdict.passed,
        "criteria": [{"title": criterion.title, **asdict(criterion)} for criterion in proof.verdict.criteria],
        "phases": [asdict(phase) for phase in proof.phases],
        "provenance": dict(proof.provenance),
    }


def save(proof: Proof, folder: Path) -> None:
    """Write everything but the page into `folder`, which is there."""
    _write(folder / "verdict.json", [json.dumps(verdict_document(proof), indent=2)])
    _write(folder / "spec.json", [proof.spec.model_dump_json(indent=2)])
    for load in proof.loads:
        name = load.name.replace(" ", "-")
        _write(folder / f"records-{name}.jsonl", (record_to_json(record) for record in load.records))
    _write(folder / "loads.jsonl", (json.dumps(_load_document(load)) for load in proof.loads))
    timeline = proof.timeline
    _write(folder / "samples.jsonl", (json.dumps(asdict(sample)) for sample in timeline.samples))
    _write(folder / "events.jsonl", (json.dumps(asdict(event)) for event in timeline.events))
    _write(folder / "decisions.jsonl", (json.dumps(asdict(sync)) for sync in timeline.syncs))


def _load_document(load: LoadRun) -> dict[str, Any]:
    return {
        "name": load.name,
        "phase": load.phase,
        "rate": load.rate,
        "concurrency": load.concurrency,
        "start_s": load.start_s,
        "end_s": load.end_s,
        "requests": len(load.records),
    }


def _write(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
