"""What each vLLM release is: its `vllm serve` flags, its metrics, and the defaults that planning depends on.

The data (`data/vllm-releases.json`) was read from the release's own code by `scripts/vllm_releases.py`: the flags and
defaults from vLLM's parser and functions on a pretended CUDA platform, the metrics from its Prometheus logger. For
0.32.0 both were compared with a running server's `--help=all` and `/metrics`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, Literal

from flyball.catalog.package_data import package_data
from flyball.errors import UsageError
from flyball.units import GIB

RELEASES = ("0.26.0", "0.27.0", "0.27.1", "0.28.0", "0.29.0", "0.30.0", "0.31.0", "0.32.0", "0.33.0")
"""The vLLM versions that flyball knows, oldest first."""

DEFAULT_RELEASE = "0.33.0"
"""What flyball deploys on Kubernetes unless the spec says otherwise: the newest, which no known advisory affects."""

Kind = Literal["boolean", "integer", "number", "text", "list", "json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFlag:
    """One option of `vllm serve`."""

    name: str
    """With underscores and without dashes: `max_num_seqs`."""
    kind: Kind
    default: Any = None
    """None where vLLM derives it when it starts (or where it is a configuration object)."""
    choices: tuple[str, ...] = ()
    """Every value the parser accepts; empty if it accepts any."""
    aliases: tuple[str, ...] = ()
    """Other spellings with their dashes: `-tp`."""
    off: tuple[str, ...] = ()
    """The options that set a boolean to false; empty for one that can only be switched on."""
    positional: bool = False

    @property
    def option(self) -> str:
        """As on the command line: `--max-num-seqs`."""
        return self.name if self.positional else f"--{self.name.replace('_', '-')}"

    @property
    def options(self) -> tuple[str, ...]:
        """Every spelling that the parser takes."""
        return (self.option, *self.aliases, *self.off)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineMetric:
    """One metric family of `/metrics`, under the name that Prometheus stores (counters end in `_total`)."""

    name: str
    type: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...] | None
    """Label names; None where an optional feature computes them."""
    label_values: Mapping[str, tuple[str, ...]]
    """The values of the labels with a closed set, `reason` among them."""
    buckets: tuple[float, ...] | None
    """Upper bounds of a histogram without +Inf; None if it is none or if the bounds follow `max_model_len`."""
    optional: bool
    """Whether it appears only with a feature (a KV connector, speculative decoding, LoRA, ...) switched on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchDefaults:
    """What `vllm serve` takes for the two batch limits where the user gives none."""

    max_num_batched_tokens: int
    max_num_seqs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRelease:
    """A vLLM version: what it exports, what it accepts, what it assumes."""

    version: str
    flags: Mapping[str, EngineFlag]
    metrics: Mapping[str, EngineMetric]
    gpu_memory_utilization: float
    """Default share of the device memory that vLLM takes."""
    block_size: int
    """Default tokens a KV block (on CUDA, for full attention; platforms and hybrid models may raise it)."""
    estimates_cuda_graph_memory: bool
    """Whether the memory of CUDA graphs is estimated and subtracted before the KV cache is sized."""
    batch_tiers: tuple[tuple[str, int, BatchDefaults], ...]
    """(device, from this many bytes, defaults): device is `a100` or `other`; ascending per device."""

    def has_flag(self, name: str) -> bool:
        """Whether `vllm serve` takes this spelling: `max_num_seqs`, `--max-num-seqs`, `-tp`, `--no-enable-lora`."""
        return self.find_flag(name) is not None

    def find_flag(self, name: str) -> EngineFlag | None:
        """The flag of that name, option or alias; `--compilation-config.mode` is a part of its flag."""
        wanted = spelling(name.split(".", 1)[0])
        if wanted in self.flags:
            return self.flags[wanted]
        return next((flag for flag in self.flags.values() if wanted in map(spelling, flag.options)), None)

    def check_args(self, args: Mapping[str, Any], *, where: str = "engine") -> None:
        """Refuse (UsageError) the first of `args` that this version lacks, or a value that its parser would refuse.

        `args` maps vLLM's flag names with underscores to values, None meaning unset; `where` is the key path that
        messages begin with. Aliases are refused too, with the name to write instead.
        """
        for name, value in args.items():
            if name not in self.flags:
                what = f"{where}.{name}: vLLM {self.version} has no flag of that name"
                raise UsageError(what, fix=self._instead_of_flag(name))
            flag = self.flags[name]
            expected = expectation(flag, value)
            if expected:
                what = f"{where}.{name}: {value!r} is not what vLLM {self.version} takes for {flag.option}"
                raise UsageError(what, fix=f"it takes {expected}")

    def metric(self, name: str) -> EngineMetric:
        """The family of an exported name or of one of its samples (`..._bucket`, `_sum`, `_count`)."""
        found = self.find_metric(name)
        if found is None:
            raise UsageError(
                f"{name}: vLLM {self.version} exports no such metric",
                fix=suggestion(closest(name, self.metrics), lambda other: other.find_metric(name) is not None),
            )
        return found

    def find_metric(self, name: str) -> EngineMetric | None:
        """As `metric`, None if this version exports no such thing."""
        for suffix in ("", "_bucket", "_sum", "_count", "_created"):
            metric = self.metrics.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
            if metric and (not suffix or suffix == "_created" or metric.type == "histogram"):
                return metric
        return None

    def requires_metric(self, name: str, labels: Iterable[str] = ()) -> EngineMetric:
        """The metric if this version exports it with all of `labels`; UsageError otherwise."""
        metric = self.metric(name)
        lacking = [] if metric.labels is None else [label for label in labels if label not in (*metric.labels, "le")]
        if lacking:
            raise UsageError(
                f"{name}: vLLM {self.version} exports it without the label {lacking[0]}",
                fix=f"its labels are {', '.join(metric.labels or ()) or 'none'}",
            )
        return metric

    def batch_defaults(self, *, memory_bytes: int, device_name: str) -> BatchDefaults:
        """What `vllm serve` chooses on a GPU with that much memory (`EngineArgs.get_batch_defaults`)."""
        device = "a100" if "a100" in device_name.lower() else "other"
        fitting = [tier for name, start, tier in self.batch_tiers if name == device and memory_bytes >= start]
        return fitting[-1]

    def _instead_of_flag(self, name: str) -> str:
        alias = self.find_flag(name)
        if alias is not None:
            return f"write {alias.name}"
        return suggestion(closest(name, self.flags), lambda other: name in other.flags)


def spelling(option: str) -> str:
    """What options, names and aliases are compared by: `--max-num-seqs` and `max_num_seqs` are one."""
    return option.lstrip("-").replace("-", "_")


def closest(name: str, names: Iterable[str]) -> str | None:
    return next(iter(get_close_matches(spelling(name), names, n=1, cutoff=0.7)), None)


def suggestion(close: str | None, has_it: Callable[[EngineRelease], bool]) -> str:
    """One line: the name that was probably meant, and the versions that do have what was asked for."""
    versions = [version for version in RELEASES if has_it(release(version))]
    hints = []
    if close:
        hints.append(f"did you mean {close}?")
    if versions:
        hints.append(
            f"only vLLM {versions[0]} has it" if len(versions) == 1 else f"{versions[0]} to {versions[-1]} have it"
        )
    return "; ".join(hints) or "leave it out"


_TAKES: Mapping[Kind, tuple[tuple[type, ...], str]] = {
    "boolean": ((bool,), "true or false"),
    "integer": ((int, str), "an integer"),  # text because of `1k` and `auto`, which vLLM reads itself
    "number": ((int, float, str), "a number"),
    "text": ((str, int, float), "text"),
    "list": ((list, tuple, str, int, float), "a list"),
    "json": ((Mapping, list, tuple, str), "a mapping or a list"),
}


def expectation(flag: EngineFlag, value: Any) -> str:
    """What the flag takes, if `value` is something else; empty if it will do."""
    if value is None:
        return ""
    types, phrase = _TAKES[flag.kind]
    if isinstance(value, bool) != (flag.kind == "boolean") or not isinstance(value, types):
        return phrase
    if flag.choices and isinstance(value, str) and value not in flag.choices:
        return f"one of {', '.join(flag.choices)}"
    return ""


@cache
def release(version: str) -> EngineRelease:
    """The release of that version (`0.32.0`, `v0.32.0`); UsageError, with the known ones, for any other."""
    if version.startswith("v"):
        return release(version.removeprefix("v"))
    if version not in RELEASES:
        raise UsageError(f"vLLM {version}: no data about this version", fix=f"known: {', '.join(RELEASES)}")
    flags: dict[str, Any] = {}
    metrics: dict[str, Any] = {}
    defaults: dict[str, Any] = {}
    for each, changes in package_data("vllm-releases.json")["releases"].items():
        defaults = changes.get("defaults", defaults)
        apply(changes["flags"], to=flags)
        apply(changes["metrics"], to=metrics)
        if each == version:
            break
    return EngineRelease(
        version=version,
        flags={name: engine_flag(name, row) for name, row in flags.items()},
        metrics={name: engine_metric(name, row) for name, row in metrics.items()},
        gpu_memory_utilization=defaults["gpu_memory_utilization"],
        block_size=defaults["block_size"],
        estimates_cuda_graph_memory=defaults["estimates_cuda_graph_memory"],
        batch_tiers=tuple(batch_tier(row) for row in defaults["batch"]),
    )


def apply(changes: dict[str, Any], *, to: dict[str, Any]) -> None:
    """The first release of the data is complete, each later one says what it removed, added and changed."""
    if "removed" not in changes:
        to.update(changes)
        return
    for name in changes["removed"]:
        del to[name]
    to.update(changes["added"])
    to.update(changes["changed"])


def engine_flag(name: str, row: dict[str, Any]) -> EngineFlag:
    return EngineFlag(
        name=name,
        kind=row["kind"],
        default=row.get("default"),
        choices=tuple(row.get("choices", ())),
        aliases=tuple(row.get("aliases", ())),
        off=tuple(row.get("off", ())),
        positional=row.get("positional", False),
    )


def engine_metric(name: str, row: dict[str, Any]) -> EngineMetric:
    return EngineMetric(
        name=name,
        type=row["type"],
        labels=None if row["labels"] is None else tuple(row["labels"]),
        label_values={label: tuple(values) for label, values in row.get("values", {}).items()},
        buckets=tuple(row["buckets"]) if row.get("buckets") else None,
        optional=row.get("optional", False),
    )


def batch_tier(row: dict[str, Any]) -> tuple[str, int, BatchDefaults]:
    limits = BatchDefaults(max_num_batched_tokens=row["max_num_batched_tokens"], max_num_seqs=row["max_num_seqs"])
    return row["device"], row["from_memory_gib"] * GIB, limits
