"""Which measured loads a path holds: a bench run, loads with their boots, or public data."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flyball.catalog import DEFAULT_RELEASE, Accelerator, Catalog
from flyball.cli.model_source import load_architecture
from flyball.cli.spec_file import read_text
from flyball.errors import UsageError
from flyball.measurement import RequestRecord, records_from_json
from flyball.perf import builtin_architecture
from flyball.perf.cpu import CPU, cpu_accelerator
from flyball.perf.measured_formats import loads_from_json_lines, measured_load, nvidia_loads, serving_sim_load
from flyball.perf.measured_load import MeasuredEngine, MeasuredLoad, measured_engine

_FORMATS = "a run folder of flyball bench, X-loads.jsonl beside X-boots.json, or a data set that the docs name"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredServer:
    """What the files do not say about the server that was measured."""

    catalog: Catalog
    accelerator: str | None = None
    model: str | None = None
    version: str | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)

    def the_accelerator(self, cores: int = 1) -> Accelerator:
        if self.accelerator is None:
            raise UsageError(
                "no accelerator is named", fix="say what was measured with --accelerator, like H200 or CPU"
            )
        return cpu_accelerator(cores) if self.accelerator.upper() == CPU else self.catalog.accelerator(self.accelerator)

    def engine(
        self, flags: Mapping[str, Any], *, model: str | None, kv_cache_tokens: int | None, cores: int = 1
    ) -> MeasuredEngine:
        """`cores`: of the machine, where the engine ran on them."""
        accelerator = self.the_accelerator(cores)
        chosen = self.model or model
        if chosen is None or (self.model is None and "/" not in chosen):
            called = "no model is named" if chosen is None else f"the server calls its model {chosen!r}, which is no id"
            raise UsageError(called, fix="say what was served with --model, like Qwen/Qwen3-8B")
        return measured_engine(
            load_architecture(chosen),
            accelerator,
            version=self.version or DEFAULT_RELEASE,
            flags={**flags, **self.flags},
            kv_cache_tokens=kv_cache_tokens,
        )


def read_measured(path: Path, server: MeasuredServer) -> tuple[list[MeasuredLoad], dict[str, int]]:
    """The loads in `path`, and how many were left out for which reason. Raises UsageError."""
    try:
        return _read(path, server)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        what = f"{path}: not written as its name promises: {type(error).__name__} {error}"
        raise UsageError(what, fix=f"name {_FORMATS}") from error


def _read(path: Path, server: MeasuredServer) -> tuple[list[MeasuredLoad], dict[str, int]]:
    if (path / "records.jsonl").is_file():
        return [_bench_run(path, server)], {}
    if (path / "meta.json").is_file() and (path / "requests.jsonl").is_file():
        load = serving_sim_load(
            _json(path / "meta.json"),
            read_text(path / "requests.jsonl"),
            source=path.name,
            architecture=load_architecture,
            accelerator=server.catalog.accelerator,
            device_name=server.accelerator,
        )
        return [load], {}
    if path.suffix == ".csv":
        return nvidia_loads(read_text(path), architecture=_known, accelerator=server.catalog.accelerator)
    if path.name.endswith("-loads.jsonl"):
        return _loads_with_boots(path, server), {}
    if not path.exists():
        raise UsageError(f"there is no {path}", fix=f"name {_FORMATS}")
    raise UsageError(f"{path} holds no measurements that flyball reads", fix=f"name {_FORMATS}")


def _loads_with_boots(path: Path, server: MeasuredServer) -> list[MeasuredLoad]:
    boots = _json(path.with_name(path.name.replace("-loads.jsonl", "-boots.json")))

    def engine_of(boot: str) -> MeasuredEngine:
        if boot not in boots:
            raise UsageError(f"{path}: its boots do not have {boot!r}", fix="keep loads and boots together")
        row = boots[boot]
        return server.engine(row["flags"], model=row.get("model"), kv_cache_tokens=row.get("kv_cache_tokens"))

    return loads_from_json_lines(read_text(path), source=str(path), engine_of=engine_of)


def _bench_run(folder: Path, server: MeasuredServer) -> MeasuredLoad:
    inputs = _json(folder / "inputs.json")
    clients = inputs["workload"]["arrivals"].get("closed_loop")
    records = records_from_json(read_text(folder / "records.jsonl"), source=str(folder / "records.jsonl"))
    rows = [row for record in records if (row := _row(record)) is not None]
    cores = re.search(r"(\d+) cores", inputs.get("machine", ""))
    engine = server.engine({}, model=inputs.get("model"), kv_cache_tokens=None, cores=int(cores[1]) if cores else 1)
    return measured_load(folder.name, engine, rows, clients)


def _row(record: RequestRecord) -> tuple[float, float, float, int, int] | None:
    """None for a request that was not answered to its end."""
    ttft_s, e2e_s = record.ttft_from_send_s, record.e2e_from_send_s
    prompt, output, sent_s = record.prompt_tokens, record.output_tokens, record.sent_s
    if ttft_s is None or e2e_s is None or sent_s is None or not prompt or not output:
        return None
    return sent_s, ttft_s, e2e_s, prompt, output


def _known(model: str) -> Any:
    """In the built-in table, as quantised copies of it are named too."""
    plain = model.removeprefix("nvidia/").removesuffix("-FP8").removesuffix("-FP4")
    owner = {"Llama": "meta-llama/", "Qwen": "Qwen/"}
    names = [model, plain, *(prefix + plain for start, prefix in owner.items() if plain.startswith(start))]
    return next((found for name in names if (found := builtin_architecture(name)) is not None), None)


def _json(path: Path) -> Any:
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise UsageError(f"{path} is not JSON: {error}", fix=f"name {_FORMATS}") from error
