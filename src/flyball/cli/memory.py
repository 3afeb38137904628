"""`flyball memory`."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from cyclopts import Parameter, validators

from flyball.catalog import DEFAULT_RELEASE, RELEASES, load_catalog, release
from flyball.cli.memory_start import Start, read_start
from flyball.cli.memory_table import memory_row, print_budget
from flyball.cli.model_source import load_architecture
from flyball.cli.spec_file import read_text
from flyball.errors import UsageError
from flyball.perf import DeviceMemory, ModelArchitecture, device_memory, memory_budget, memory_settings, ways_out
from flyball.spec import parse_yaml

_Tokens = Parameter(validator=validators.Number(gt=0))


def memory(
    model: str,
    *,
    accelerator: str,
    engine: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True, allow_repeating=True)] = None,
    quantization: str | None = None,
    vllm: Annotated[str | None, Parameter(name="--vllm")] = None,
    prompt_tokens: Annotated[int | None, _Tokens] = None,
    output_tokens: Annotated[int | None, _Tokens] = None,
    boot_log: Path | None = None,
    revision: str | None = None,
    catalog: Path | None = None,
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Show what a model takes of one accelerator's memory, and what is left for the KV cache.

    Exit code 1 if vLLM would not start: the model, or one request of max_model_len, does not fit.

    Parameters
    ----------
    model
        A Hugging Face id, or a path to a folder with config.json.
    accelerator
        One of `flyball catalog --kind accelerators`, in any spelling: H100, a100-80gb.
    engine
        Flags of `vllm serve` by their names: --engine max_num_seqs=256 tensor_parallel_size=2.
    quantization
        Quantise an unquantised checkpoint: fp8, awq, gptq, int8, mxfp4, nvfp4 or bitsandbytes.
    vllm
        The version; by default the newest that is known, or the boot log's.
    prompt_tokens
        Expected length of a prompt, to see how many requests fit at once.
    output_tokens
        Expected length of an output.
    boot_log
        What vLLM printed when it started on this accelerator; its numbers are taken as the truth.
    revision
        Branch, tag or commit of a model that is fetched from the hub.
    catalog
        A YAML file with your own `accelerators`.
    output
        A table, or JSON.

    """
    chips = load_catalog(None if catalog is None else parse_yaml(read_text(catalog), source=str(catalog)))
    device = device_memory(chips.accelerator(accelerator))
    architecture = load_architecture(model, revision)
    flags = {**parse_flags(engine or ()), **({"quantization": quantization} if quantization else {})}
    start = read_start(boot_log, architecture, device, vllm) if boot_log else Start(version=vllm or DEFAULT_RELEASE)
    expected = (prompt_tokens or 0) + (output_tokens or 0)
    row = _row(architecture, device, start, flags=flags, expected_tokens=expected)
    if output == "json":
        print(json.dumps(row, indent=2))
    else:
        print_budget(row, sys.stdout)
    return 0 if row["fits"] else 1


def _row(
    architecture: ModelArchitecture,
    device: DeviceMemory,
    start: Start,
    *,
    flags: dict[str, Any],
    expected_tokens: int,
) -> dict[str, Any]:
    """The budget with the flags of the start, those of the command line over them."""
    if start.version in RELEASES:
        release(start.version).check_args(flags)
    settings = memory_settings(
        {**start.engine, **flags}, architecture=architecture, device=device, version=start.version
    )
    correction = start.correction
    if flags.keys() & {"tensor_parallel_size", "pipeline_parallel_size", "quantization", "dtype"}:
        correction = replace(correction, weights_bytes=0)  # other tensors than those that the start loaded
    case: dict[str, Any] = {
        "device": device,
        "settings": settings,
        "version": start.version,
        "correction": correction,
    }
    budget = memory_budget(architecture, **case)
    ways = () if budget.fits else ways_out(architecture, **case)
    row = memory_row(budget, architecture=architecture, ways=ways, flags=flags, expected_tokens=expected_tokens)
    if start.comparison is not None:
        row["boot_log"] = {
            "kv_cache_tokens": start.comparison.measured_kv_cache_tokens,
            "error_before_correction": start.comparison.error,
        }
    return row


def parse_flags(tokens: Sequence[str]) -> dict[str, Any]:
    """`max_num_seqs=256` as {"max_num_seqs": 256}; dashes will do, and so will leading ones."""
    flags: dict[str, Any] = {}
    for token in tokens:
        name, separator, value = token.partition("=")
        if not separator or not name:
            what = f"--engine {token}: no value"
            raise UsageError(what, fix="write NAME=VALUE, for example --engine max_num_seqs=256")
        flags[name.lstrip("-").replace("-", "_")] = yaml.safe_load(value)
    return flags
