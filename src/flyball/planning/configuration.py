"""`Configuration`: which chip, how many of them a replica has, how the weights are stored."""

from dataclasses import dataclass

from flyball.catalog import Accelerator

TENSOR_PARALLEL_SIZES = (1, 2, 4, 8)
SHORT_STEP, LONG_STEP = 2048, 8192
"""The values of max_num_batched_tokens that are tried: vLLM's defaults on small chips and on large ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One way to build a replica."""

    accelerator: Accelerator
    tensor_parallel_size: int = 1
    quantization: str | None = None
    """None: as the checkpoint is."""
    max_num_batched_tokens: int = SHORT_STEP

    @property
    def memory_bytes(self) -> int:
        """Of all GPUs of a replica."""
        return self.tensor_parallel_size * self.accelerator.memory_bytes

    @property
    def label(self) -> str:
        count = f"{self.tensor_parallel_size} x " if self.tensor_parallel_size > 1 else ""
        return f"{count}{self.accelerator.name}{f' {self.quantization}' if self.quantization else ''}"
