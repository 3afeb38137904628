"""How vLLM's accounting of memory changed from version to version, read in its sources from 0.10 to 0.32."""

import re
from dataclasses import dataclass

from flyball.catalog import RELEASES, BatchDefaults, EngineRelease, release
from flyball.errors import UsageError
from flyball.perf.architecture import ModelArchitecture

Version = tuple[int, int]

_DENSE_V2_BEFORE_025: dict[Version, frozenset[str]] = {
    (0, 22): frozenset({"Qwen3ForCausalLM"}),
    (0, 23): frozenset({"LlamaForCausalLM", "MistralForCausalLM", "Qwen3ForCausalLM"}),
    (0, 24): frozenset({"LlamaForCausalLM", "MistralForCausalLM", "Qwen3ForCausalLM"}),
}
_EXPERTS_ON_V2 = frozenset({"DeepseekV2ForCausalLM", "Qwen2MoeForCausalLM"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRules:
    """What one version does with one model."""

    version: Version
    v2_runner: bool
    """Whether the second model runner serves it: another sampler, other buffers."""
    estimates_graphs: bool
    """Whether the memory of CUDA graphs is estimated and subtracted before the KV cache is sized."""

    @property
    def counts_buffers(self) -> bool:
        """From 0.27 on all that has left the free memory counts, the runner's buffers included."""
        return self.version >= (0, 27)

    @property
    def splits_large_blocks(self) -> bool:
        """Until 0.22 the rest of a large block went to other tensors while weights were loaded."""
        return self.version < (0, 22)

    @property
    def sorts_logits(self) -> bool:
        """Until 0.17 top-k and top-p sorted the logits instead of searching for the threshold."""
        return self.version < (0, 17)

    @property
    def times_embedding(self) -> bool:
        """Since 0.12 torch.compile times horizontally fused kernels, on made-up copies of their arguments."""
        return self.version >= (0, 12)

    @property
    def tokens_from_concurrency(self) -> bool:
        """Since 0.20 "GPU KV cache size" is concurrency times `max_model_len`, before it was blocks a group."""
        return self.version >= (0, 20)

    @property
    def steps_in_flight(self) -> int:
        """Steps whose tokens a sliding window keeps: since 0.26 the one being scheduled and the one that runs."""
        return 2 if self.version >= (0, 26) else 1


def memory_rules(version: str, architecture: ModelArchitecture) -> MemoryRules:
    """The rules of a version for a model; UsageError if `version` is not one."""
    number = version_number(version)
    v2_runner = _runs_on_v2(number, architecture)
    return MemoryRules(
        version=number,
        v2_runner=v2_runner,
        # The estimate became the default in 0.20, but the second runner's was a stub that returned 0 until 0.29.
        estimates_graphs=number >= ((0, 29) if v2_runner else (0, 20)),
    )


def _runs_on_v2(version: Version, architecture: ModelArchitecture) -> bool:
    """`VllmConfig.use_v2_model_runner` of each version, for text generation on CUDA."""
    if version >= (0, 29):
        return True
    if version >= (0, 25):
        return architecture.experts is None or architecture.architecture in _EXPERTS_ON_V2
    if version == (0, 24) and architecture.architecture in _EXPERTS_ON_V2:
        return True
    names = _DENSE_V2_BEFORE_025.get(version, frozenset())
    return architecture.architecture in names and (version == (0, 24) or architecture.quantization is None)


def version_number(version: str) -> Version:
    """(0, 26) of `0.26.0`, `v0.26.1rc1`."""
    match = re.match(r"v?(\d+)\.(\d+)", version)
    if match is None:
        raise UsageError(f"vLLM {version!r} is not a version", fix=f"write it like {RELEASES[-1]}")
    return int(match[1]), int(match[2])


def default_gpu_memory_utilization(version: str) -> float:
    """0.92 since 0.20, 0.90 before."""
    return 0.9 if version_number(version) < (0, 20) else _nearest(version).gpu_memory_utilization


def default_batch(version: str, *, memory_bytes: int, device_name: str) -> BatchDefaults:
    """`max_num_batched_tokens` and `max_num_seqs` of `vllm serve` where none are given."""
    return _nearest(version).batch_defaults(memory_bytes=memory_bytes, device_name=device_name)


def _nearest(version: str) -> EngineRelease:
    """The known release of that number, else the oldest or the newest: 0.12 to 0.27 have the same defaults."""
    wanted = version_number(version)
    known = [each for each in RELEASES if version_number(each) <= wanted]
    return release(known[-1] if known else RELEASES[0])
