"""CUDA graphs: which batch sizes vLLM captures, and the memory that capturing takes."""

from flyball.perf.memory_rank import Rank
from flyball.units import MIB

_POOL_BYTES = 100 * MIB
"""What the first graph of a pool takes, whatever the model: intercept over boots of 12, 30, 86 and 102 graphs."""

_HOPPER_BYTES = 190 * 1024
_OTHER_BYTES = 126 * 1024
"""A graph's nodes for one layer: 0.84 GiB estimated for 32 layers and 102 graphs on H100 (vLLM 0.19) and 0.59 GiB for
86 graphs on H200 (0.26); 0.43 GiB for 32 layers and 86 graphs on A100 (0.31). Sizes of 24 to 80 layers scatter by a
quarter around it."""

_EXPERTS = 4 / 3
"""Nodes of a layer of experts over those of a dense one: 1.41 GiB for 48 layers and 102 graphs on H100 (0.19)."""
_EXPERTS_SINCE_020 = 0.53
"""As estimated: 0.49 GiB for 48 layers and 86 graphs on H100 (0.26), of which the captures then took 0.63."""


def capture_sizes(rank: Rank) -> list[int]:
    """Batch sizes that get a graph: 1, 2, 4, every 8 up to 256, then every 16 (`_set_cudagraph_sizes`).

    The largest is twice `max_num_seqs`, at most 512; 1,024 on data-centre Blackwell since 0.28, and for gpt-oss always.
    """
    settings = rank.settings
    limit = 1024 if rank.device.compute_capability[0] == 10 and rank.rules.version >= (0, 28) else 512
    largest = 1024 if rank.model.architecture == "GptOssForCausalLM" else min(2 * settings.max_num_seqs, limit)
    largest = min(settings.max_cudagraph_capture_size or largest, settings.max_num_batched_tokens)
    sizes = [1, 2, 4, *range(8, min(largest + 1, 256), 8), *range(256, largest + 1, 16)]
    return [size for size in sizes if size <= largest]


def cuda_graph_bytes(rank: Rank) -> int:
    """Memory of all graphs of one rank: one for each size with mixed batches, one for each that only decodes."""
    if rank.settings.enforce_eager:
        return 0
    sizes = capture_sizes(rank)
    graphs = len(sizes) + sum(size <= rank.settings.max_num_seqs for size in sizes)
    a_layer = _HOPPER_BYTES if rank.device.compute_capability[0] in (9, 10) else _OTHER_BYTES
    share = 1.0
    if rank.model.experts:
        share = _EXPERTS if rank.rules.version < (0, 20) else _EXPERTS_SINCE_020
    return _POOL_BYTES + round(a_layer * rank.num_layers * graphs * share)
