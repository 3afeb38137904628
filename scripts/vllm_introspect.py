"""Print, as JSON, the flags, metrics and defaults of the vLLM source tree that is first on PYTHONPATH.

Runs inside an environment that has vLLM's Python dependencies (any recent one does), against an unpacked sdist:

    cd vllm-0.33.0 && PYTHONPATH=. VENV/bin/python -P .../scripts/vllm_introspect.py

Nothing is guessed where vLLM can be asked: flags come from the argparse parser that `vllm serve` uses, the metrics of a
plain server from its own Prometheus logger, the batch defaults from its own function, on a pretended CUDA platform.
Only metrics that need a feature (a KV connector, speculative decoding, LoRA) are read from the syntax tree instead.
"""

import argparse
import ast
import importlib
import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import prometheus_client
import vllm.platforms
from vllm.platforms.interface import UnspecifiedPlatform

MODEL_NAME = "the-model"
GIB = 2**30


class PretendedCuda(UnspecifiedPlatform):  # type: ignore[misc]  # vLLM is not typed here
    """Enough of a CUDA GPU for vLLM to answer which defaults it would take."""

    device_type = "cuda"
    memory_bytes = 80 * GIB
    name = "NVIDIA H100"

    def get_device_total_memory(self, device_id: int = 0) -> int:
        return self.memory_bytes

    def get_device_name(self, device_id: int = 0) -> str:
        return self.name

    def is_device_capability(self, capability: object, device_id: int = 0) -> bool:
        return False


def flags() -> dict[str, dict[str, Any]]:
    """Every option of `vllm serve` by its name with underscores, as vLLM's own parser declares it."""
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser = cli_args_module().make_arg_parser(FlexibleArgumentParser())
    accepted: dict[int, list[str]] = {id(action): [] for action in parser._actions}
    for option, action in parser._option_string_actions.items():  # also those that its help hides
        accepted[id(action)].append(option)
    shown = (action for action in parser._actions if action.dest != "help")
    return {flag_name(action): flag(action, accepted[id(action)]) for action in shown}


def cli_args_module() -> Any:
    for place in ("openai", "launchers", "common"):  # it moved in 0.29 and again in 0.33
        try:
            return importlib.import_module(f"vllm.entrypoints.{place}.cli_args")
        except ModuleNotFoundError as error:
            if "cli_args" not in str(error):
                raise
    raise SystemExit("vllm.entrypoints.*.cli_args: not found; this vLLM keeps its parser in a new place")


def flag_name(action: argparse.Action) -> str:
    longs = [option for option in action.option_strings if option.startswith("--")]
    return longs[0].removeprefix("--").replace("-", "_") if longs else action.dest


def flag(action: argparse.Action, options: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": flag_kind(action)}
    option = f"--{flag_name(action).replace('_', '-')}"
    off = [o for o in options if o in (f"--no-{option[2:]}", opposite(option))]
    others = [o for o in options if o.replace("_", "-") != option and o not in off]
    if not options:
        row["positional"] = True
    row |= {"aliases": others} if others else {}
    row |= {"off": off} if off else {}
    if action.choices is not None:
        row["choices"] = sorted(str(choice) for choice in action.choices if choice is not None)
    default = None if action.default == argparse.SUPPRESS else plain(action.default)
    if default is not None:
        row["default"] = default
    return row


def opposite(option: str) -> str:
    """`--disable-x` of `--enable-x` and the reverse: vLLM pairs them from 0.33 on."""
    for prefix, inverse in (("--enable-", "--disable-"), ("--disable-", "--enable-")):
        if option.startswith(prefix):
            return inverse + option.removeprefix(prefix)
    return ""


def flag_kind(action: argparse.Action) -> str:
    """boolean, list, json, integer, number or text: what the parser's converter makes of probes."""
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        return "boolean"
    if action.nargs in ("+", "*"):
        return "list"
    converter = action.type
    if not callable(converter):
        return "text"
    if any(not isinstance(converted(converter, text), str | None) for text in ("{}", '{"a": 1}')):
        return "json"
    whole = converted(converter, "7")
    if isinstance(whole, int) and not isinstance(whole, bool):
        return "number" if isinstance(converted(converter, "0.5"), float) else "integer"
    return "number" if isinstance(whole, float) else "text"


def converted(converter: Any, text: str) -> object:
    try:
        value: object = converter(text)
    except Exception:  # every converter refuses in its own way
        return None
    return value


def plain(value: object) -> object:
    """The value as JSON, or None where it is not a plain one (a configuration object has defaults of its own)."""
    try:
        json.dumps(value)
    except TypeError:
        return None
    return value


def plain_metrics() -> dict[str, dict[str, Any]]:
    """What a server without optional features registers: asked of vLLM's own logger with an otherwise empty config."""
    short, long = registered(max_model_len=8192), registered(max_model_len=65536)
    for name, row in short.items():
        if row.get("buckets") != long[name].get("buckets"):
            row["buckets"] = None  # they follow max_model_len
    return short


def registered(max_model_len: int) -> dict[str, dict[str, Any]]:
    from vllm.config import CacheConfig
    from vllm.v1.metrics.loggers import PrometheusStatLogger

    config = MagicMock()
    config.model_config.served_model_name = MODEL_NAME
    config.model_config.max_model_len = max_model_len
    config.model_config.is_diffusion = False
    observability = config.observability_config
    observability.show_hidden_metrics = observability.kv_cache_metrics = observability.enable_mfu_metrics = False
    observability.custom_histogram_buckets = None
    for feature in ("speculative", "kv_transfer", "ec_transfer", "lora", "watermark"):
        setattr(config, f"{feature}_config", None)
    config.cache_config = CacheConfig()
    logger = PrometheusStatLogger(config)
    logger.log_engine_initialized()
    return {
        exported(metric.name, metric.type): metric_row(metric)
        for metric in prometheus_client.REGISTRY.collect()
        if metric.name.startswith("vllm:")
    }


def exported(name: str, kind: str) -> str:
    return f"{name.removesuffix('_total')}_total" if kind == "counter" else name


def metric_row(metric: Any) -> dict[str, Any]:
    samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
    labels = list(dict.fromkeys(label for sample in samples for label in sample.labels if label != "le"))
    row: dict[str, Any] = {"type": metric.type, "labels": labels}
    if metric.name != "vllm:cache_config_info":  # its labels are every field of CacheConfig, its values settings
        extra = [label for label in labels if label not in ("model_name", "engine")]
        values = {label: list(dict.fromkeys(sample.labels[label] for sample in samples)) for label in extra}
        row |= {"values": values} if values else {}
    if metric.type == "histogram":
        bounds = dict.fromkeys(sample.labels["le"] for sample in samples if sample.name.endswith("_bucket"))
        row["buckets"] = [float(bound) for bound in bounds if bound != "+Inf"]
    return row


def feature_metrics(root: Path) -> dict[str, dict[str, Any]]:
    """Metrics that a constructor call names anywhere in the source; the labels where they are written out."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(root.rglob("*.py")):
        text = path.read_text()
        if "vllm:" not in text:
            continue
        for call in (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)):
            kind, name = constructor_kind(call), constant_name(call)
            if kind and name:
                labels = written_labels(call)
                found[exported(name, kind)] = {"type": kind, "labels": labels, "optional": True}
    return found


def constructor_kind(call: ast.Call) -> str | None:
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return {
        "_gauge_cls": "gauge", "_counter_cls": "counter", "_histogram_cls": "histogram",
        "Gauge": "gauge", "Counter": "counter", "Histogram": "histogram",
    }.get(called)  # fmt: skip


def constant_name(call: ast.Call) -> str | None:
    given = [*call.args[:1], *(keyword.value for keyword in call.keywords if keyword.arg == "name")]
    texts = [node.value for node in given if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return texts[0] if texts and texts[0].startswith("vllm:") else None


def written_labels(call: ast.Call) -> list[str] | None:
    """The label names, None where the call computes them in a way that is not `labelnames [+ [...]]`."""
    given = [*call.args[2:3], *(keyword.value for keyword in call.keywords if keyword.arg == "labelnames")]
    return label_list(given[0]) if given else []


def label_list(node: ast.expr) -> list[str] | None:
    if isinstance(node, ast.Name) and node.id == "labelnames":
        return ["model_name", "engine"]
    if isinstance(node, ast.List) and all(isinstance(item, ast.Constant) for item in node.elts):
        return [item.value for item in node.elts if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = label_list(node.left), label_list(node.right)
        return None if left is None or right is None else left + right
    return None


def defaults(platform: PretendedCuda) -> dict[str, Any]:
    """What vLLM takes where the user gives nothing, by device memory."""
    from vllm import envs
    from vllm.config import CacheConfig
    from vllm.engine.arg_utils import EngineArgs
    from vllm.usage.usage_lib import UsageContext

    batch: list[dict[str, Any]] = []
    for name in ("other", "a100"):
        platform.name = f"NVIDIA {name}"
        tiers: list[dict[str, Any]] = []
        for gib in range(8, 300):
            platform.memory_bytes = gib * GIB
            tokens, seqs = EngineArgs.get_batch_defaults(1)
            context = UsageContext.OPENAI_API_SERVER
            row = {"max_num_batched_tokens": tokens[context], "max_num_seqs": seqs[context]}
            if not tiers or {key: tiers[-1][key] for key in row} != row:
                tiers.append({"device": name, "from_memory_gib": 0 if not tiers else gib, **row})
        batch += tiers
    return {
        "gpu_memory_utilization": CacheConfig().gpu_memory_utilization,
        "block_size": CacheConfig.DEFAULT_BLOCK_SIZE,
        "estimates_cuda_graph_memory": bool(envs.VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS),
        "batch": batch,
    }


def main() -> None:
    platform = PretendedCuda()
    vllm.platforms._current_platform = platform  # type: ignore[attr-defined]
    metrics = plain_metrics()
    optional = feature_metrics(Path(str(vllm.__file__)).parent)
    merged = metrics | {name: row for name, row in optional.items() if name not in metrics}
    document = {
        "version": vllm.__version__,
        "flags": flags(),
        "metrics": dict(sorted(merged.items())),
        "defaults": defaults(platform),
    }
    json.dump(document, sys.stdout)


if __name__ == "__main__":
    main()
