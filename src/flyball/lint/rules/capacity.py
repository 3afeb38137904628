"""Rules about memory: whether the model fits the GPU it asks for, and what is left for requests.

They fire only where the documents (or the settings) name the GPU and the model is one that `flyball.perf` knows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flyball.catalog import DEFAULT_RELEASE
from flyball.errors import UsageError
from flyball.lint.command import Flag
from flyball.lint.engine import Engine
from flyball.lint.node import Node
from flyball.lint.placement import Hardware, hardware_of
from flyball.lint.rule import Hit, InContext, Rule, context_rule, engine_rule
from flyball.lint.rules.engine_flags import spans_pods
from flyball.perf import (
    NOT_MODELLED,
    DeviceMemory,
    MemoryBudget,
    MemorySettings,
    ModelArchitecture,
    builtin_architecture,
    builtin_models,
    device_memory,
    memory_budget,
    memory_settings,
    ways_out,
)
from flyball.units import format_bytes

FEW_TOKENS = 256
"""A sequence with fewer tokens of KV cache than this is shorter than almost any chat turn."""
_MEMORY_DOC = "https://docs.vllm.ai/en/latest/configuration/conserving_memory.html; vllm/v1/core/kv_cache_utils.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """One engine on one kind of GPU."""

    hardware: Hardware
    architecture: ModelArchitecture
    device: DeviceMemory
    settings: MemorySettings
    version: str
    budget: MemoryBudget

    @property
    def way_out(self) -> str:
        """The gentlest change that makes the model fit, as flags; empty if there is none."""
        found = ways_out(self.architecture, device=self.device, settings=self.settings, version=self.version)
        return " or ".join(" ".join(_option(flag) for flag in way.flags.split()) for way in found)


def _option(flag: str) -> str:
    name, _, value = flag.partition("=")
    return f"--{name.replace('_', '-')} {value}"


def architecture_of(engine: Engine) -> ModelArchitecture | None:
    """By the Hugging Face id, or by a path that ends in the name of one."""
    model = engine.model
    if model is None or not model.text:
        return None
    named = builtin_architecture(model.text)
    if named is not None or not model.text.startswith(("/", ".", "s3:", "gs:")):
        return named
    folder = model.text.rstrip("/").rpartition("/")[2].lower()
    ids = [each for each in builtin_models() if each.rpartition("/")[2].lower() == folder]
    return builtin_architecture(ids[0]) if ids else None


def fit_of(each: InContext) -> Fit | None:
    """None where the GPU or the model is unknown, or where the flags do what the memory model does not follow."""
    engine = each.engine
    architecture = architecture_of(engine)
    whole_gpus = engine.devices.exists and engine.devices.path[-1] == "nvidia.com/gpu"
    if architecture is None or not whole_gpus or spans_pods(engine) or not engine.has_all_flags:
        return None
    if any(name in engine.flags for name in NOT_MODELLED):
        return None
    hardware = hardware_of(engine.pod, each.manifests.settings.accelerator)
    if hardware is None:
        return None
    device, version = device_memory(hardware.accelerator), engine.version or DEFAULT_RELEASE
    try:
        settings = memory_settings(_given(engine), architecture=architecture, device=device, version=version)
        budget = memory_budget(architecture, device=device, settings=settings, version=version)
    except UsageError:
        return None  # a flag that other rules judge, or one that the memory model does not know
    return Fit(
        hardware=hardware,
        architecture=architecture,
        device=device,
        settings=settings,
        version=version,
        budget=budget,
    )


def _given(engine: Engine) -> dict[str, Any]:
    return {name: _value(flag) for name, flag in engine.flags.items() if flag.is_known}


def _value(flag: Flag) -> Any:
    return flag.text if flag.values else flag.is_on


def _model_node(engine: Engine) -> Node:
    return engine.model.node if engine.model else engine.command.node


def _gpus(fit: Fit) -> str:
    count = fit.settings.tensor_parallel_size * fit.settings.pipeline_parallel_size
    name = fit.hardware.accelerator.name
    return f"each of {count} {name}" if count > 1 else f"one {name}"


@context_rule(
    "error",
    finds="weights that do not fit the GPU",
    why="vLLM runs out of memory while it loads, or finds none left for the KV cache, and restarts for ever",
    reference=_MEMORY_DOC,
)
def weights_do_not_fit(each: InContext) -> Iterator[Hit]:
    fit = fit_of(each)
    if fit is None or fit.budget.kv_cache.available_bytes > 0:
        return
    budget = fit.budget
    says = (
        f"{fit.architecture.name}: {format_bytes(budget.weights_bytes)} of weights and"
        f" {format_bytes(budget.used_bytes - budget.weights_bytes)} beside them; {_gpus(fit)} gives"
        f" {format_bytes(budget.requested_bytes)} of {format_bytes(budget.total_bytes)}"
    )
    fix = fit.way_out or "a GPU with more memory, or a quantised model"
    yield Hit(at=_model_node(each.engine), says=says, fix=fix, evidence=fit.architecture.name)


@context_rule(
    "error",
    finds="a KV cache that cannot hold one request of --max-model-len",
    why="vLLM refuses to start: 'To serve at least one request with the model's max seq len ... KV cache is needed'",
    reference=_MEMORY_DOC,
)
def context_beyond_pool(each: InContext) -> Iterator[Hit]:
    fit = fit_of(each)
    if fit is None or fit.budget.fits or fit.budget.kv_cache.available_bytes <= 0:
        return
    flag = each.engine.flag("max_model_len")
    if flag is not None and (flag.number == -1 or flag.text == "auto"):
        return
    longest = fit.budget.kv_cache.longest_request
    asked = f"--max-model-len {flag.text}" if flag else f"the model's own context of {fit.settings.max_model_len:,}"
    says = f"{_gpus(fit)} holds {longest:,} tokens beside {fit.architecture.name}; {asked} asks for more"
    fix = f"--max-model-len {longest // 1024 * 1024}" if longest >= 1024 else fit.way_out
    at = flag.node if flag else _model_node(each.engine)
    yield Hit(at=at, says=says, fix=fix, evidence=flag.written if flag else fit.architecture.name)


@context_rule(
    "warning",
    finds="a batch far beyond what the KV cache holds",
    why="the scheduler admits more sequences than it can keep, evicts them again and computes them anew: time to first"
    " token goes to a minute",
    reference="Tandemn-Labs/tandemn-system#11; vllm-project/vllm#54644",
)
def batch_beyond_pool(each: InContext) -> Iterator[Hit]:
    fit = fit_of(each)
    if fit is None or not fit.budget.fits or "max_num_active_seqs" in each.engine.flags:
        return
    tokens, sequences = fit.budget.kv_cache.tokens, fit.settings.max_num_seqs
    if tokens / sequences >= FEW_TOKENS:
        return
    flag = each.engine.flag("max_num_seqs")
    asked = f"--max-num-seqs {sequences}" if flag else f"the default --max-num-seqs {sequences}"
    says = f"{tokens:,} tokens of KV cache on {_gpus(fit)} / {asked} = {tokens // sequences} tokens a sequence"
    fix = f"--max-num-seqs {max(tokens // 768, 1)} for 768 tokens each; the cache / the tokens that you expect"
    yield Hit(
        at=flag.node if flag else each.engine.flag_node, says=says, fix=fix, evidence=flag.written if flag else asked
    )


@engine_rule(
    "error",
    finds="a context longer than the model's",
    why="vLLM refuses to start: the positions beyond were never trained",
    reference="vllm/config/model.py",
)
def context_beyond_model(engine: Engine) -> Iterator[Hit]:
    flag, architecture = engine.flag("max_model_len"), architecture_of(engine)
    allowed = engine.env.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN")
    overridden = "hf_overrides" in engine.flags or (allowed is not None and allowed.at("value").text == "1")
    if architecture is None or flag is None or flag.number is None or overridden:
        return
    if flag.number > architecture.longest_model_len:
        says = f"{architecture.name} has {architecture.longest_model_len:,} tokens of context, not {flag.number:,.0f}"
        fix = f"--max-model-len {architecture.longest_model_len} at most"
        yield Hit(at=flag.node, says=says, fix=fix, evidence=flag.written)


@context_rule(
    "error",
    finds="more GPUs than the machine has",
    why="no node can ever hold the pod: it stays Pending with Insufficient nvidia.com/gpu",
    reference="https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/",
)
def more_gpus_than_machine(each: InContext) -> Iterator[Hit]:
    hardware = hardware_of(each.engine.pod, None)
    asked = each.engine.devices.number
    if hardware is None or hardware.machine is None or asked is None:
        return
    machine = hardware.machine
    if asked > machine.accelerator_count:
        says = f"{asked:g} GPUs asked of {machine.name}, which has {machine.accelerator_count} {machine.accelerator}"
        yield Hit(at=each.engine.devices, says=says, fix="a larger machine, or fewer GPUs")


RULES: tuple[Rule, ...] = (
    weights_do_not_fit,
    context_beyond_pool,
    batch_beyond_pool,
    context_beyond_model,
    more_gpus_than_machine,
)
