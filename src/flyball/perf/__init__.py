"""How much memory a model takes on an accelerator, and how fast it runs there. Pure: values in, values out."""

from flyball.perf.architecture import LatentAttention, MixtureOfExperts, ModelArchitecture, Quantization
from flyball.perf.architecture_config import architecture_from_config
from flyball.perf.architecture_quantization import quantized
from flyball.perf.architecture_table import builtin_architecture, builtin_models
from flyball.perf.boot_log import BootLog, parse_boot_log
from flyball.perf.calibration import Calibration, Residual, calibrate, residuals
from flyball.perf.calibrations import (
    calibration_for,
    calibrations_from_json,
    calibrations_to_json,
    shipped_calibrations,
)
from flyball.perf.efficiency import Efficiency
from flyball.perf.frontend import Frontend
from flyball.perf.latency import Knee, Prediction, Replica, Traffic, at_concurrency, at_rate, knee, saturation_rate
from flyball.perf.load import LoadRequest, ServedRequest, serve
from flyball.perf.load_statistics import LoadStatistics
from flyball.perf.measured_load import MeasuredEngine, MeasuredLoad, measured_engine
from flyball.perf.memory import NO_CORRECTION, MemoryBudget, MemoryCorrection, memory_budget, served_model
from flyball.perf.memory_advice import WayOut, ways_out
from flyball.perf.memory_calibration import BootComparison, compare_boot, corrected_engine
from flyball.perf.memory_device import DeviceMemory, device_memory
from flyball.perf.memory_kv import KVCacheCapacity, KVCacheLayout
from flyball.perf.memory_settings import NOT_MODELLED, MemorySettings, memory_settings
from flyball.perf.replica import EngineReplica, Outcome
from flyball.perf.scheduler import Scheduler, Sequence, Step
from flyball.perf.step_model import StepModel
from flyball.perf.step_time import Batch, StepTime, prompt_pairs
from flyball.perf.weights import Shard, active_parameter_count, parameter_count, weight_bytes, weight_bytes_by_group

__all__ = [
    "NOT_MODELLED",
    "NO_CORRECTION",
    "Batch",
    "BootComparison",
    "BootLog",
    "Calibration",
    "DeviceMemory",
    "Efficiency",
    "EngineReplica",
    "Frontend",
    "KVCacheCapacity",
    "KVCacheLayout",
    "Knee",
    "LatentAttention",
    "LoadRequest",
    "LoadStatistics",
    "MeasuredEngine",
    "MeasuredLoad",
    "MemoryBudget",
    "MemoryCorrection",
    "MemorySettings",
    "MixtureOfExperts",
    "ModelArchitecture",
    "Outcome",
    "Prediction",
    "Quantization",
    "Replica",
    "Residual",
    "Scheduler",
    "Sequence",
    "ServedRequest",
    "Shard",
    "Step",
    "StepModel",
    "StepTime",
    "Traffic",
    "WayOut",
    "active_parameter_count",
    "architecture_from_config",
    "at_concurrency",
    "at_rate",
    "builtin_architecture",
    "builtin_models",
    "calibrate",
    "calibration_for",
    "calibrations_from_json",
    "calibrations_to_json",
    "compare_boot",
    "corrected_engine",
    "device_memory",
    "knee",
    "measured_engine",
    "memory_budget",
    "memory_settings",
    "parameter_count",
    "parse_boot_log",
    "prompt_pairs",
    "quantized",
    "residuals",
    "saturation_rate",
    "serve",
    "served_model",
    "shipped_calibrations",
    "ways_out",
    "weight_bytes",
    "weight_bytes_by_group",
]
