"""Why a replica did not start, or stopped: from its log's last lines to a cause and a way out. Pure.

The texts are those of vLLM 0.32.0; where the log holds several, the first of this list that fits is nearest the root.
"""

import math
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass

from flyball.errors import OutsideError

_PREFIX = re.compile(
    r"^\(\w+[^)]*\) \w+ [\d-]+ [\d:]+ \[[^\]]+\] ?"
)  # `(EngineCore pid=7) ERROR 11-23 20:39:03 [a.py:1] `
_RAISED = re.compile(r"^(?:[\w.]*(?:Error|Exception|Exit)|Exception|[\w.]+\.py: error)\b.*: ?\S")
_NOT_THE_ROOT = ("Engine core initialization failed", "WorkerProc initialization failed", "EngineCore encountered")
_LONGEST = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFailure:
    """What went wrong with a replica."""

    cause: str
    evidence: str
    """The line of the log that says so; empty where none does."""
    fix: str
    is_permanent: bool = False
    """Whether starting it again would end the same way, because the spec is at fault."""

    def error(self, name: str) -> OutsideError:
        """As the end of a command. `name` is the replica's."""
        return OutsideError(
            f"{name} does not run: {self.cause}", fix=f"{self.fix}\n  {self.evidence}" if self.evidence else self.fix
        )


@dataclass(frozen=True, slots=True)
class _Sign:
    """A text of vLLM's and what it means. Braces in `cause` and `fix` are filled with the pattern's groups."""

    pattern: str
    cause: str
    fix: str
    is_permanent: bool = True
    derive: Callable[[re.Match[str]], dict[str, str]] = lambda match: {}


def _needed_kv(match: re.Match[str]) -> dict[str, str]:
    """The cache that would do, with the half hundredth that vLLM's rounding hides, and the length that would."""
    needed = f"{math.ceil((float(match['needed']) + 0.005) * 1024)}Mi"
    length = f"set engine.max_model_len to {match['fits']} or less, or " if match["fits"] else ""
    return {"bytes": needed, "shorter": length}


_MEMORY = "let the machine run fewer replicas (scaling.max), or lower local.kv_cache"
_GPU_MEMORY = "lower engine.gpu_memory_utilization, end what else uses the GPU, or take a smaller or quantized model"
_HUB = "download the model and name its folder in model.id, or let this machine reach the hub"

_SIGNS = (
    _Sign(
        r"model's max seq len \((?P<length>\d+)\), \((?P<needed>[\d.]+) GiB KV cache is needed, which is larger than "
        r"the available KV cache memory \((?P<has>[\d.]+) GiB\)(?:.*estimated maximum model length is (?P<fits>\d+))?",
        "the KV cache ({has} GiB) is too small for one request of max_model_len {length} ({needed} GiB)",
        "{shorter}raise local.kv_cache to {bytes} (on a GPU, engine.gpu_memory_utilization)",
        derive=_needed_kv,
    ),
    _Sign(
        r"Address already in use",
        "its port is taken",
        "stop what listens there, or start it again on another port",
        is_permanent=False,
    ),
    _Sign(
        r"Model architectures? \[?(?P<names>[^\]]+?)\]? (?:(?:are|is) not supported|was supported|failed to be)",
        "this vLLM does not know the model's architecture ({names})",
        "choose a model that this vLLM serves, or a vLLM that serves this one",
    ),
    _Sign(
        r"CUDA out of memory|Free memory on device .* is less than desired|No available memory for the cache blocks",
        "the GPU's memory does not suffice",
        _GPU_MEMORY,
        is_permanent=False,
    ),
    _Sign(
        r"Available memory on node \d+ \((?P<free>[\d.]+)/[\d.]+ GiB\).*requested memory for kv "
        r"\((?P<asked>[\d.]+)[^)]*GiB\)",
        "out of memory: a KV cache of {asked} GiB does not fit into the {free} GiB that are free",
        _MEMORY,
        is_permanent=False,
    ),
    _Sign(
        r"Cannot allocate memory|can't allocate memory|\bMemoryError\b|Available memory on node",
        "out of memory",
        _MEMORY,
        is_permanent=False,
    ),
    _Sign(
        r"unrecognized arguments: (?P<flags>.+)",
        "this vLLM does not know {flags}",
        "take the flag out of `engine` in the spec",
    ),
    _Sign(
        r"error: argument (?P<flag>-\S+): (?P<why>.+)",
        "vLLM refuses the value of {flag}: {why}",
        "correct it in `engine` in the spec",
    ),
    _Sign(
        r"User-specified max_model_len \((?P<asked>\d+)\) is greater than the derived max_model_len "
        r"\(max_position_embeddings=(?P<limit>\d+)",
        "max_model_len {asked} is longer than the model's context of {limit} tokens",
        "set engine.max_model_len to {limit} or less",
    ),
    _Sign(
        r"Cannot find any model weights with `(?P<folder>[^`]+)`",
        "there are no weights in {folder}",
        "download the model again: config.json is there and the *.safetensors files are not",
    ),
    _Sign(
        r"GatedRepoError|gated repo|401 Client Error|403 Client Error",
        "the hub does not give out this model without a token that may read it",
        "accept the model's licence on the hub and set HF_TOKEN",
    ),
    _Sign(
        r"RepositoryNotFoundError|HFValidationError|is not a valid model identifier",
        "there is no such model on the hub",
        "correct model.id: a Hugging Face id like owner/name, or a path to a folder with config.json",
    ),
    _Sign(
        r"LocalEntryNotFoundError|couldn't connect to 'http|Name or service not known|OfflineModeIsEnabled",
        "the model is not on this machine and the hub cannot be reached",
        _HUB,
        is_permanent=False,
    ),
    _Sign(
        r"Value error, (?P<why>.+?)(?: \[type=value_error.*)?$",
        "vLLM refuses the configuration: {why}",
        "correct it in `engine` or `model` in the spec",
    ),
)


def diagnose(log_tail: str, *, returncode: int | None) -> StartFailure:
    """The cause of the failure whose log ends with `log_tail`. `returncode` is the process's, None while it runs."""
    lines = [text for line in log_tail.splitlines() if (text := _PREFIX.sub("", line.strip()).strip())]
    lines = [line for line in lines if not line.startswith("raise ")]  # of a traceback; what it raised comes later
    for sign in _SIGNS:
        for line in lines:
            if match := re.search(sign.pattern, line):
                found = {name: text for name, text in match.groupdict().items() if text} | sign.derive(match)
                cause = sign.cause.format_map({name: _short(text) for name, text in found.items()})
                fix = sign.fix.format_map(found)
                return StartFailure(cause=cause, evidence=_short(line), fix=fix, is_permanent=sign.is_permanent)
    if returncode == -signal.SIGKILL or _was_killed(log_tail):
        return StartFailure(
            cause="it was killed from outside, as the system does when memory runs out", evidence="", fix=_MEMORY
        )
    raised = [line for line in lines if _RAISED.match(line) and not any(text in line for text in _NOT_THE_ROOT)]
    last = (raised or lines or [""])[-1]
    ended = "it is not ready" if returncode is None else f"it ended with exit code {returncode}"
    return StartFailure(cause=ended, evidence=_short(last), fix="read its log")


def _was_killed(log_tail: str) -> bool:
    """Whether the engine or its worker went without a word about an error of its own."""
    if re.search(r"Failed core proc\(s\): \{[^}]*: -9\b|died unexpectedly \(exit code: -9\)", log_tail):
        return True
    return "WorkerProc initialization failed" in log_tail and not re.search(r"\(\w*Worker\S* pid=\d+\) ERROR", log_tail)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
