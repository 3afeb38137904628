"""How much memory a model takes on an accelerator, and how fast it runs there. Pure: values in, values out."""

from flyball.perf.architecture import LatentAttention, MixtureOfExperts, ModelArchitecture, Quantization
from flyball.perf.architecture_config import architecture_from_config
from flyball.perf.architecture_quantization import quantized
from flyball.perf.architecture_table import builtin_architecture, builtin_models
from flyball.perf.boot_log import BootLog, parse_boot_log
from flyball.perf.memory import NO_CORRECTION, MemoryBudget, MemoryCorrection, memory_budget, served_model
from flyball.perf.memory_advice import WayOut, ways_out
from flyball.perf.memory_calibration import BootComparison, compare_boot, corrected_engine
from flyball.perf.memory_device import DeviceMemory, device_memory
from flyball.perf.memory_kv import KVCacheCapacity, KVCacheLayout
from flyball.perf.memory_settings import NOT_MODELLED, MemorySettings, memory_settings
from flyball.perf.weights import Shard, active_parameter_count, parameter_count, weight_bytes, weight_bytes_by_group

__all__ = [
    "NOT_MODELLED",
    "NO_CORRECTION",
    "BootComparison",
    "BootLog",
    "DeviceMemory",
    "KVCacheCapacity",
    "KVCacheLayout",
    "LatentAttention",
    "MemoryBudget",
    "MemoryCorrection",
    "MemorySettings",
    "MixtureOfExperts",
    "ModelArchitecture",
    "Quantization",
    "Shard",
    "WayOut",
    "active_parameter_count",
    "architecture_from_config",
    "builtin_architecture",
    "builtin_models",
    "compare_boot",
    "corrected_engine",
    "device_memory",
    "memory_budget",
    "memory_settings",
    "parameter_count",
    "parse_boot_log",
    "quantized",
    "served_model",
    "ways_out",
    "weight_bytes",
    "weight_bytes_by_group",
]
