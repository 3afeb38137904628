"""`flyball bench`."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter, validators
from rich.console import Console

from flyball.bench import LoadSettings
from flyball.bench.benchmark import Benchmark, BenchmarkResult, find_model, run_benchmark
from flyball.bench.client import base_url
from flyball.bench.progress import LoadProgress
from flyball.bench.saving import save
from flyball.bench.table import print_result
from flyball.cli.run_folder import new_run_folder, provenance
from flyball.cli.spec_file import read_spec
from flyball.cli.workload_file import WorkloadOptions, read_workload
from flyball.errors import UsageError
from flyball.spec import ServingSpec

_INTERRUPTED = 130
_DEFAULT_LOAD = WorkloadOptions()


def bench(
    url: str,
    *,
    spec: Path | None = None,
    load: WorkloadOptions = _DEFAULT_LOAD,
    warmup: Annotated[int, Parameter(validator=validators.Number(gte=0))] = 4,
    model: str | None = None,
    api_key_env: str | None = None,
    respect_eos: Annotated[bool, Parameter(negative="")] = False,
    out: Path | None = None,
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Load an OpenAI-compatible endpoint with streams and measure it, each request from its intended arrival.

    Exit code 1: the spec's objective was missed; 3: nothing was answered; 130: interrupted, with what there was saved.

    Parameters
    ----------
    url
        The server, like http://localhost:8000.
    spec
        A spec: its workload, its objective, its model's name, its gateway's key.
    load
        What to send.
    warmup
        Requests before the measurement, in none of its numbers.
    model
        The name to ask for; the server's only model by default.
    api_key_env
        The environment variable that holds the API key.
    respect_eos
        Let the model end its answers; without it vLLM is asked to ignore_eos, which other servers may refuse.
    out
        The run folder; runs/bench-DATE-TIME by default.
    output
        A table of the summary, or JSON.

    """
    serving = None if spec is None else read_spec(spec)
    named = None if spec is None or serving is None else (spec, serving)
    benchmark = Benchmark(
        url=str(base_url(url)),
        workload=read_workload(load, spec=named),
        slo=None if serving is None else serving.slo,
        warm_up_requests=warmup,
        settings=LoadSettings(api_key=_api_key(api_key_env, serving), ignore_eos=not respect_eos, grace_s=0.0),
    )
    preferred = None if serving is None else serving.model.served_name or serving.model.id
    try:
        folder, result = asyncio.run(_measure(benchmark, model, preferred, out))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    if output == "json":
        print(json.dumps({**result.to_dict(), "folder": str(folder)}, indent=2))
    else:
        print_result(result, Console())
        print(folder)
    if result.interrupted:
        return _INTERRUPTED
    return 3 if result.all_failed else int(result.objective_missed)


async def _measure(
    benchmark: Benchmark, model: str | None, preferred: str | None, out: Path | None
) -> tuple[Path, BenchmarkResult]:
    """The run folder and what stands in it. The first Ctrl-C ends the load and keeps the results, a second one all."""
    stop = asyncio.Event()
    loop, this = asyncio.get_running_loop(), asyncio.current_task()
    assert this is not None

    def interrupt() -> None:
        if stop.is_set():
            this.cancel()
        stop.set()

    key = benchmark.settings.api_key
    name = await find_model(benchmark.url, wanted=model, preferred=preferred, api_key=key)
    folder = new_run_folder("bench", out)
    progress = LoadProgress(Console(stderr=True))
    loop.add_signal_handler(signal.SIGINT, interrupt)
    drawing = asyncio.create_task(progress.show())
    try:
        result = await run_benchmark(benchmark, model=name, stop=stop, progress=progress)
    except BaseException:
        folder.rmdir()  # nothing is in it yet
        raise
    finally:
        drawing.cancel()
        await asyncio.wait({drawing})
        loop.remove_signal_handler(signal.SIGINT)
    save(folder, benchmark, result, provenance(benchmark.workload.seed))
    return folder, result


def _api_key(variable: str | None, serving: ServingSpec | None) -> str | None:
    name = variable or (None if serving is None else serving.gateway.api_key_env)
    if name is None:
        return None
    if not os.environ.get(name):
        raise UsageError(f"the environment variable {name} is not set", fix=f"put the API key into {name}")
    return os.environ[name]
