"""How a checkpoint's weights are quantised: read from its `quantization_config`, or asked for by name."""

from collections.abc import Mapping
from dataclasses import replace

from flyball.errors import UsageError
from flyball.perf.architecture import ModelArchitecture, Quantization
from flyball.perf.architecture_keys import ConfigKeys

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


def read_quantization(config: ConfigKeys | None) -> Quantization | None:
    """The scheme of a `quantization_config`, None without one; UsageError for a method that is unknown."""
    if config is None:
        return None
    method = config.text("quant_method") or ("modelopt" if config.given("quant_algo") else "")
    if method == "fp8":
        block = config.items("weight_block_size")
        if not block:
            return NAMED["fp8"]
        if len(block) != 2 or not all(isinstance(each, int) and each > 0 for each in block):
            raise UsageError(
                f"{config.name}: weight_block_size: {block} is not two sizes", fix="for example [128, 128]"
            )
        return Quantization(method="fp8", weight_bits=8, group_size=block[1], block_rows=block[0], scale_bytes=4)
    if method == "fbgemm_fp8":
        return NAMED["fp8"]
    if method in ("awq", "gptq"):
        # AutoAWQ's first files say w_bit and q_group_size; a group of -1 is a whole row.
        group = config.count("group_size", "q_group_size", default=128, least=-1)
        return Quantization(
            method=method,
            weight_bits=_bits(config, "bits", "w_bit", default=4),
            group_size=group if group > 0 else None,
            zero_points=config.flag("zero_point", default=not config.flag("sym", default=True)),
        )
    if method == "mxfp4":
        return replace(NAMED["mxfp4"], experts_only=True)
    if method == "bitsandbytes":
        return NAMED["bitsandbytes"] if config.flag("load_in_4bit") else replace(NAMED["int8"], method=method)
    if method == "compressed-tensors":
        return _compressed_tensors(config)
    if method == "modelopt":
        return NAMED["nvfp4" if "FP4" in config.text("quant_algo").upper() else "fp8"]
    raise UsageError(
        f"{config.name}: the quantisation {method!r} is not known here: how many bytes a weight takes is missing",
        fix="known: fp8, fbgemm_fp8, awq, gptq, mxfp4, bitsandbytes, compressed-tensors, modelopt",
    )


def _compressed_tensors(config: ConfigKeys) -> Quantization:
    groups = config.section("config_groups") or ConfigKeys({}, config.name)
    sections = [group for key in groups.values if (group := groups.section(key))]
    weights = next((found for group in sections if (found := group.section("weights"))), None)
    if weights is None:
        raise UsageError(
            f"{config.name}: its compressed-tensors scheme names no weights, so what they take is missing",
            fix="give a config.json with quantization_config.config_groups",
        )
    bits = _bits(weights, "num_bits", default=8)
    group_size = weights.count("group_size", default=-1, least=-1)
    if bits == 4 and weights.text("type") == "float":
        return replace(NAMED["nvfp4"], group_size=group_size if group_size > 0 else 16)
    return Quantization(
        method="compressed-tensors",
        weight_bits=bits,
        group_size=group_size if group_size > 0 else None,
        scale_bytes=4 if bits == 8 else 2,
        zero_points=not weights.flag("symmetric", default=True),
    )


def _bits(config: ConfigKeys, *keys: str, default: int) -> int:
    bits = config.count(*keys, default=default)
    if bits not in (2, 3, 4, 8):
        raise UsageError(f"{config.name}: {keys[0]}: {bits} bits a weight are unknown", fix="one of 2, 3, 4, 8")
    return bits
