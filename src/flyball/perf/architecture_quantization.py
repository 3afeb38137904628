"""How a checkpoint's weights are quantised: read from its `quantization_config`, or asked for by name."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flyball.errors import UsageError
from flyball.perf.architecture import ModelArchitecture, Quantization

NAMED: Mapping[str, Quantization] = {
    "fp8": Quantization(method="fp8", weight_bits=8, scale_bytes=4),
    "int8": Quantization(method="compressed-tensors", weight_bits=8, scale_bytes=4),
    "awq": Quantization(method="awq", weight_bits=4, group_size=128, zero_points=True),
    "gptq": Quantization(method="gptq", weight_bits=4, group_size=128),
    "mxfp4": Quantization(method="mxfp4", weight_bits=4, group_size=32, scale_bytes=1),
    "nvfp4": Quantization(method="modelopt", weight_bits=4, group_size=16, scale_bytes=1),
    "bitsandbytes": Quantization(method="bitsandbytes", weight_bits=4, group_size=64, scale_bytes=4),
}
"""What the usual checkpoints of each method store: 4-bit groups of 128 for AWQ and GPTQ, 32 for MXFP4, 16 for NVFP4."""

_SAME = {"awq_marlin": "awq", "gptq_marlin": "gptq", "w8a8": "int8", "fp8_per_tensor": "fp8", "bnb": "bitsandbytes"}


def quantized(architecture: ModelArchitecture, method: str | None) -> ModelArchitecture:
    """The same model served with `--quantization METHOD`; a checkpoint that is quantised already keeps its own."""
    if method is None or architecture.quantization is not None:
        return architecture
    name = _SAME.get(method, method)
    if name not in NAMED:
        raise UsageError(
            f"quantization: {method!r} of an unquantised checkpoint is unknown here",
            fix=f"one of {', '.join(sorted(NAMED))}, or a checkpoint whose config.json has a quantization_config",
        )
    return replace(architecture, quantization=NAMED[name])


def read_quantization(config: Mapping[str, Any] | None, *, name: str) -> Quantization | None:
    """The scheme of a `quantization_config`, None without one; UsageError for a method that is unknown."""
    if not config:
        return None
    method = str(config.get("quant_method", ""))
    if method == "fp8":
        block = config.get("weight_block_size")
        if not block:
            return NAMED["fp8"]
        return Quantization(method="fp8", weight_bits=8, group_size=block[1], block_rows=block[0], scale_bytes=4)
    if method in ("awq", "gptq"):
        return Quantization(
            method=method,
            weight_bits=int(config.get("bits") or 4),
            group_size=int(config.get("group_size") or 128),
            zero_points=bool(config.get("zero_point", not config.get("sym", True))),
        )
    if method == "mxfp4":
        return replace(NAMED["mxfp4"], experts_only=True)
    if method == "bitsandbytes":
        return NAMED["bitsandbytes"] if config.get("load_in_4bit") else replace(NAMED["int8"], method=method)
    if method == "compressed-tensors":
        return _compressed_tensors(config, name)
    if method == "modelopt":
        return NAMED["nvfp4" if "FP4" in str(config.get("quant_algo", "")).upper() else "fp8"]
    raise UsageError(
        f"{name}: the quantisation {method!r} is not known here: how many bytes a weight takes is missing",
        fix="known: fp8, awq, gptq, mxfp4, bitsandbytes, compressed-tensors, modelopt",
    )


def _compressed_tensors(config: Mapping[str, Any], name: str) -> Quantization:
    groups = config.get("config_groups") or {}
    weights = next((group.get("weights") for group in groups.values() if group.get("weights")), None)
    if weights is None:
        raise UsageError(
            f"{name}: its compressed-tensors scheme names no weights, so what they take is missing",
            fix="give a config.json with quantization_config.config_groups",
        )
    bits = int(weights.get("num_bits") or 8)
    group_size = weights.get("group_size")
    return Quantization(
        method="compressed-tensors",
        weight_bits=bits,
        group_size=int(group_size) if group_size and group_size > 0 else None,
        scale_bytes=4 if bits == 8 else 2,
        zero_points=not weights.get("symmetric", True),
    )
