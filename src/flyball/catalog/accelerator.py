"""What a chip can do: memory, bandwidth, dense arithmetic, links."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import Literal

from flyball.errors import UsageError

Dtype = Literal["fp16", "bf16", "fp8", "fp4", "int8"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interconnect:
    """How the GPUs of one machine reach each other."""

    kind: Literal["nvlink", "nvlink-bridge", "pcie"]
    """nvlink: all to all through switches; nvlink-bridge: pairs only."""
    bytes_per_s: float
    """One direction, one GPU to the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """One kind of GPU."""

    name: str
    """As in a spec: `A100-80GB`."""
    aliases: tuple[str, ...]
    device_name: str
    """As CUDA reports it; vLLM chooses defaults by it (`EngineRelease.batch_defaults`)."""
    memory_bytes: int
    """Total as CUDA, and so vLLM, reports it: less than the nominal."""
    nominal_memory_bytes: int
    memory_bandwidth_bytes_per_s: float
    dense_flops_per_s: Mapping[Dtype, float]
    """Peak of the tensor cores without sparsity, fp16 and bf16 with fp32 accumulation; only dtypes with such a path."""
    compute_capability: tuple[int, int]
    interconnect: Interconnect
    source: str
    as_of: date | None
    note: str = ""

    @property
    def supports_fp8(self) -> bool:
        """Whether fp8 is computed in; fp8 weights can be stored on any chip."""
        return "fp8" in self.dense_flops_per_s

    @property
    def supports_fp4(self) -> bool:
        return "fp4" in self.dense_flops_per_s


def spelling(name: str) -> str:
    """What names are compared by: case, dashes, spaces and the maker do not count."""
    return "".join(letter for letter in name.lower() if letter.isalnum()).removeprefix("nvidia")


def accelerator_named(name: str, accelerators: Sequence[Accelerator]) -> Accelerator:
    """By name, alias or CUDA's device name, in any case; UsageError with the nearest names otherwise."""
    wanted = spelling(name)
    for accelerator in accelerators:
        if wanted in map(spelling, (accelerator.name, accelerator.device_name, *accelerator.aliases)):
            return accelerator
    names = [accelerator.name for accelerator in accelerators]
    close = [each for each in names if spelling(each).startswith(wanted)] if wanted else []
    close = close or get_close_matches(name.upper(), names, n=2, cutoff=0.5)
    fix = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names)}"
    raise UsageError(f"accelerator {name!r} is not in the catalog", fix=fix)
