"""A machine's own cores, as the speed model takes a chip."""

from flyball.catalog import Accelerator
from flyball.catalog.accelerator import Interconnect
from flyball.perf.efficiency import Efficiency
from flyball.units import GIB

CPU = "CPU"
"""The name of this chip, and of its device."""
CPU_FLOPS_PER_S = 60e9
"""Of one core with AVX2 in float32: 8 lanes, two fused operations a cycle, near 2 GHz under load."""
CPU_BYTES_PER_S = 15e9
"""Memory bandwidth that one core gets."""
CPU_EFFICIENCY = Efficiency(
    step_s_per_layer=2e-4, host_s=3e-3, eager_launch_s_per_layer=1e-4, request_s=4e-3, token_s=2e-4, delivery_s=2e-3
)
"""Of vLLM 0.32.0's CPU build on slow cores, to within a factor of two; measurements correct it."""


def cpu_accelerator(cores: int) -> Accelerator:
    """So many cores, as the speed model takes a chip; the size of the KV cache is given by a flag."""
    return Accelerator(
        name=CPU,
        aliases=(),
        device_name=CPU,
        memory_bytes=64 * GIB,
        nominal_memory_bytes=64 * GIB,
        memory_bandwidth_bytes_per_s=CPU_BYTES_PER_S * cores,
        dense_flops_per_s={"bf16": CPU_FLOPS_PER_S * cores, "fp16": CPU_FLOPS_PER_S * cores},
        compute_capability=(8, 0),
        interconnect=Interconnect(kind="pcie", bytes_per_s=1e10),
        source="flyball.perf.cpu",
        as_of=None,
    )
