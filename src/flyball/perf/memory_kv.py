"""The KV cache as vLLM lays it out: pages, blocks, and the groups of layers that share a block table."""

from dataclasses import dataclass

from flyball.perf.memory_rank import Rank


@dataclass(frozen=True, slots=True, kw_only=True)
class KVCacheLayout:
    """How one rank's layers share blocks (`get_kv_cache_groups` of vLLM's `v1/core/kv_cache_utils.py`)."""

    block_size: int
    full_groups: int
    """Groups of layers that attend to everything."""
    sliding_groups: int
    layers_per_group: int
    """The last group of a kind may have fewer; its blocks are as large all the same."""
    bytes_per_token_and_layer: int
    sliding_window: int
    tokens_in_flight: int
    """Tokens beyond the window that a sliding layer keeps while steps are scheduled."""

    @property
    def groups(self) -> int:
        return self.full_groups + self.sliding_groups

    @property
    def bytes_per_block(self) -> int:
        """Of one group's block: the same for all groups, so that any group can take any block."""
        return self.block_size * self.layers_per_group * self.bytes_per_token_and_layer

    def blocks_per_request(self, tokens: int) -> int:
        """Blocks that a request of that many tokens holds at its end, in all groups together."""
        in_window = min(self.sliding_window - 1 + self.tokens_in_flight, tokens)
        windowed = -(-in_window // self.block_size) + 1  # a window may begin inside a block
        return self.full_groups * -(-tokens // self.block_size) + self.sliding_groups * windowed


@dataclass(frozen=True, slots=True, kw_only=True)
class KVCacheCapacity:
    """The blocks that are left for keys and values on each GPU, and what they hold."""

    layout: KVCacheLayout
    available_bytes: int
    num_blocks: int
    """One of them is never handed out (vLLM's null block)."""
    tokens: int
    """As vLLM prints it: "GPU KV cache size"."""
    bytes_per_token: int
    """Of one token in every layer of the rank, sliding ones included."""
    max_model_len: int

    @property
    def max_concurrency(self) -> float:
        """Requests of `max_model_len` that fit at once, as vLLM prints it."""
        return self.num_blocks / self.layout.blocks_per_request(self.max_model_len)

    def concurrency(self, tokens: int, *, shared_tokens: int = 0) -> float:
        """Requests that fit at once if each holds that many tokens (prompt and output) at its end.

        The first `shared_tokens` of them are the same for all: the prefix cache keeps their whole blocks once.
        """
        common = self.layout.full_groups * (min(shared_tokens, tokens - 1) // self.layout.block_size)
        return max(self.num_blocks - 1 - common, 0) / (self.layout.blocks_per_request(tokens) - common)

    @property
    def holds_one_request(self) -> bool:
        """Whether a request of `max_model_len` fits, which is what vLLM demands to start."""
        return self.num_blocks >= self.layout.blocks_per_request(self.max_model_len)

    @property
    def longest_request(self) -> int:
        """Tokens of the longest request that fits alone."""
        low, high = 0, self.num_blocks * self.layout.block_size
        while low < high:
            middle = (low + high + 1) // 2
            if self.layout.blocks_per_request(middle) <= self.num_blocks:
                low = middle
            else:
                high = middle - 1
        return low


def kv_cache_layout(rank: Rank) -> KVCacheLayout:
    """The layout of the rank's layers.

    Layers of two kinds are cut into groups of as many layers as the rarer kind has - or as the commoner has, if that is
    less than half more, which wastes less.
    """
    model, layers = rank.model, rank.num_layers
    sliding = round(model.num_sliding_layers * layers / model.num_hidden_layers)
    full = layers - sliding
    per_group = layers
    if sliding and full:
        fewer, more = sorted((full, sliding))
        per_group = more if more < 1.5 * fewer else fewer
    element = rank.settings.kv_element_bytes(rank.element_bytes)
    return KVCacheLayout(
        block_size=rank.settings.block_size,
        full_groups=-(-full // per_group),
        sliding_groups=-(-sliding // per_group),
        layers_per_group=per_group,
        bytes_per_token_and_layer=element * model.kv_elements_per_layer(rank.shard.tensor_parallel_size),
        sliding_window=model.sliding_window or 1,
        tokens_in_flight=rank.rules.steps_in_flight * rank.settings.max_num_batched_tokens,
    )


def kv_cache_capacity(available_bytes: int, rank: Rank) -> KVCacheCapacity:
    """What fits into `available_bytes` (which may be negative: then nothing does)."""
    layout, max_model_len = kv_cache_layout(rank), rank.settings.max_model_len
    blocks = max(available_bytes, 0) // layout.bytes_per_block
    if rank.rules.tokens_from_concurrency:
        tokens = int(blocks / layout.blocks_per_request(max_model_len) * max_model_len)
    else:
        tokens = blocks // layout.groups * layout.block_size
    return KVCacheCapacity(
        layout=layout,
        available_bytes=available_bytes,
        num_blocks=blocks,
        tokens=tokens,
        bytes_per_token=rank.num_layers * layout.bytes_per_token_and_layer,
        max_model_len=max_model_len,
    )
