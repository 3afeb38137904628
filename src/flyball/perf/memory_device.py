"""What of a GPU decides how much memory the engine takes for itself: size, generation, cache, multiprocessors."""

from collections.abc import Mapping
from dataclasses import dataclass

from flyball.catalog import Accelerator
from flyball.units import MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceMemory:
    """One GPU as vLLM sees it."""

    name: str
    device_name: str
    """As CUDA reports it."""
    total_bytes: int
    """What CUDA reports, which is less than the data sheet says: the driver keeps a share."""
    compute_capability: tuple[int, int]
    switched: bool
    """Whether NVLink switches connect all GPUs of a machine."""
    l2_cache_bytes: int
    """The buffer with which torch.compile empties the cache between timings has this size."""
    multiprocessors: int
    """The top-k/top-p sampling kernel keeps a row of logits for each."""

    @property
    def is_hopper(self) -> bool:
        return self.compute_capability[0] == 9

    @property
    def is_blackwell(self) -> bool:
        return self.compute_capability[0] >= 10

    @property
    def cublas_workspace_bytes(self) -> int:
        """PyTorch's default: 32 MiB on Hopper and data-centre Blackwell, else 8.125 MiB (aten CublasHandlePool.cpp)."""
        return 32 * MIB if self.compute_capability[0] in (9, 10) else 65 * MIB // 8


_L2_MIB_AND_MULTIPROCESSORS: Mapping[str, tuple[int, int]] = {
    "T4": (4, 40),
    "A10G": (6, 80),
    "A100": (40, 108),
    "L4": (48, 58),
    "L40S": (96, 142),
    "RTX-4090": (72, 128),
    "H100-PCIe": (50, 114),
    "H100": (50, 132),
    "H200": (50, 132),
    "B200": (126, 148),
    "RTX-5090": (96, 170),
    "RTX-PRO-6000": (128, 188),
}
"""By the beginning of the catalog's name; NVIDIA's white papers on Turing, Ampere, Ada, Hopper and Blackwell."""

_GENERATION: Mapping[int, tuple[int, int]] = {7: (4, 40), 8: (40, 108), 9: (50, 132), 10: (126, 148), 12: (96, 170)}
"""The same for a chip that is not listed, by the major number of its compute capability."""


def device_memory(accelerator: Accelerator) -> DeviceMemory:
    """The device of a catalog row; a chip that a user added counts as typical of its generation."""
    listed = [key for key in _L2_MIB_AND_MULTIPROCESSORS if accelerator.name.startswith(key)]
    if listed:
        l2_mib, multiprocessors = _L2_MIB_AND_MULTIPROCESSORS[max(listed, key=len)]
    else:
        l2_mib, multiprocessors = _GENERATION.get(accelerator.compute_capability[0], (50, 132))
    return DeviceMemory(
        name=accelerator.name,
        device_name=accelerator.device_name,
        total_bytes=accelerator.memory_bytes,
        compute_capability=accelerator.compute_capability,
        switched=accelerator.interconnect.kind == "nvlink",
        l2_cache_bytes=l2_mib * MIB,
        multiprocessors=multiprocessors,
    )
