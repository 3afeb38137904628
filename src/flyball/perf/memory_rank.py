"""One rank of a deployment: the part of the model that one GPU holds, and the rules by which vLLM accounts for it."""

from dataclasses import dataclass

from flyball.perf.architecture import DTYPE_BYTES, ModelArchitecture
from flyball.perf.memory_device import DeviceMemory
from flyball.perf.memory_release import MemoryRules
from flyball.perf.memory_settings import MemorySettings
from flyball.perf.weights import Shard


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """What every term of the budget depends on."""

    model: ModelArchitecture
    settings: MemorySettings
    device: DeviceMemory
    rules: MemoryRules
    shard: Shard

    @property
    def num_layers(self) -> int:
        return len(self.shard.layers(self.model.num_hidden_layers))

    @property
    def element_bytes(self) -> int:
        """Of one activation."""
        return DTYPE_BYTES[self.model.dtype]

    @property
    def expert_width(self) -> int:
        """Inner width of the rank's experts; whole experts where they are dealt out by expert parallelism."""
        if self.model.experts is None:
            return 0
        slices = 1 if self.shard.enable_expert_parallel else self.shard.tensor_parallel_size
        return self.model.experts.moe_intermediate_size // slices

    @property
    def has_mxfp4_experts(self) -> bool:
        return self.model.quantization is not None and self.model.quantization.method == "mxfp4"

    @property
    def pads_mxfp4(self) -> bool:
        """Hopper's Triton kernels have taken experts of any multiple of 64 since 0.20 (`fused_moe/oracle/mxfp4.py`)."""
        return not (self.device.is_hopper and self.rules.version >= (0, 20))
