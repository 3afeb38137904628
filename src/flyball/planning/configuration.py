"""`Configuration`: which chip, how many of them a replica has, how the weights are stored."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flyball.catalog import Accelerator

TENSOR_PARALLEL_SIZES = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One way to build a replica. `flags` are the engine flags in which two ways on the same chips differ."""

    accelerator: Accelerator
    tensor_parallel_size: int = 1
    quantization: str | None = None
    """None: as the checkpoint is."""
    max_num_batched_tokens: int | None = None
    """None: as it is derived."""

    @property
    def label(self) -> str:
        count = f"{self.tensor_parallel_size} x " if self.tensor_parallel_size > 1 else ""
        return f"{count}{self.accelerator.name}{f' {self.quantization}' if self.quantization else ''}"


def configurations(
    accelerators: Sequence[Accelerator], *, engine: Mapping[str, Any], largest: Mapping[str, int]
) -> Iterator[Configuration]:
    """Unquantised ones. `engine` holds the spec's flags; `largest`, by accelerator, the GPUs of its largest machine."""
    given = engine.get("tensor_parallel_size")
    sizes = TENSOR_PARALLEL_SIZES if given is None else (int(given),)
    for accelerator in accelerators:
        for size in sizes:
            if size <= largest[accelerator.name]:
                yield Configuration(accelerator=accelerator, tensor_parallel_size=size)
