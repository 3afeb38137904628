"""`StepModel`: step times of one model on one kind of GPU under one set of engine flags."""

from math import sqrt

from flyball.catalog import Accelerator
from flyball.perf.architecture import DTYPE_BYTES, ModelArchitecture
from flyball.perf.efficiency import Efficiency
from flyball.perf.memory_settings import MemorySettings
from flyball.perf.step_costs import attention_costs, linear_costs, rates
from flyball.perf.step_time import Batch, StepTime

PIECEWISE_SHARE = 0.3
"""Launches that remain in a step that is replayed from piecewise graphs: attention and its metadata, not the rest."""


class StepModel:
    """Seconds of any batch. What does not depend on the batch is computed once: a call costs a microsecond or two.

    `model` is quantised already (`quantized`). ValueError for pipeline parallelism, which is not modelled.
    """

    def __init__(
        self, model: ModelArchitecture, accelerator: Accelerator, settings: MemorySettings, efficiency: Efficiency
    ) -> None:
        if settings.pipeline_parallel_size > 1:
            raise ValueError("step times of pipeline parallelism are not modelled")
        layers, tp = model.num_hidden_layers, settings.tensor_parallel_size
        reached = rates(accelerator, model.quantization, efficiency)
        self.settings = settings
        self.efficiency = efficiency
        self.linear = linear_costs(model, settings, reached)
        self.attention = attention_costs(model, settings, reached)
        num_moe_layers = model.experts.num_moe_layers if model.experts else 0
        self.overhead_s = layers * efficiency.step_s_per_layer + num_moe_layers * efficiency.expert_s_per_layer
        eager = settings.enforce_eager
        self.launch_s = layers * (efficiency.eager_launch_s_per_layer if eager else efficiency.launch_s_per_layer)
        # Two all-reduces a layer; in a ring each rank sends 2(n-1)/n of the message.
        self.allreduce_s = 2 * layers * efficiency.allreduce_s if tp > 1 else 0.0
        message_bytes = 2 * layers * model.hidden_size * DTYPE_BYTES[model.dtype] * 2 * (tp - 1) / tp
        self.message_s = message_bytes / reached.link_bytes_per_s
        # vLLM captures graphs up to this many tokens (`VllmConfig._set_cudagraph_sizes`).
        largest = settings.max_cudagraph_capture_size or min(2 * settings.max_num_seqs, 512)
        self.largest_graph = 0 if eager else min(largest, settings.max_num_batched_tokens)

    def time(self, batch: Batch) -> StepTime:
        """With the breakdown; `device` and `host` are the fast way to the same numbers."""
        compute_s, memory_s = self._linear(batch.tokens, batch.prefill_sequences + batch.decode_sequences)
        prompts_s = self._prompts(batch.prefill_tokens, batch.prefill_pairs)
        contexts_s = self._contexts(batch.decode_sequences, batch.context_tokens)
        prepare_s, launch_s = self.host(batch.prefill_tokens, batch.prefill_sequences, batch.decode_sequences)
        return StepTime(
            compute_s=compute_s + prompts_s,
            memory_s=memory_s + contexts_s,
            communication_s=batch.tokens * self.message_s + self.allreduce_s,
            overhead_s=self.overhead_s,
            device_s=self.device(
                batch.prefill_tokens,
                batch.prefill_pairs,
                batch.prefill_sequences,
                batch.decode_sequences,
                batch.context_tokens,
            ),
            host_s=prepare_s + launch_s,
            delivery_s=self.delivery(batch.prefill_sequences + batch.decode_sequences),
        )

    def device(self, prefill_tokens: int, pairs: float, prefilling: int, decoding: int, context: float) -> float:
        """Seconds on the device; the arguments are `Batch`'s fields in their order."""
        compute_s, memory_s = self._linear(prefill_tokens + decoding, prefilling + decoding)
        longer, shorter = (compute_s, memory_s) if compute_s > memory_s else (memory_s, compute_s)
        # Near the ridge neither hides the other wholly: the 4-norm of both, 19 % over the longer where they are equal.
        ratio = shorter / longer
        ratio *= ratio
        linear_s = longer * sqrt(sqrt(1 + ratio * ratio))
        attention_s = self._contexts(decoding, context)
        if prefill_tokens:
            attention_s += self._prompts(prefill_tokens, pairs)
        communication_s = (prefill_tokens + decoding) * self.message_s + self.allreduce_s
        return linear_s + attention_s + communication_s + self.overhead_s

    def host(self, prefill_tokens: int, prefilling: int, decoding: int) -> tuple[float, float]:
        """Seconds on the engine's host: before the device can begin, and launching kernels while it computes."""
        prepare_s = self.efficiency.host_s + (prefilling + decoding) * self.efficiency.sequence_s
        if prefill_tokens + decoding > self.largest_graph:
            return prepare_s, self.launch_s
        return prepare_s, PIECEWISE_SHARE * self.launch_s if prefilling else 0.0

    def delivery(self, sampled: int) -> float:
        """Seconds of the API server for the tokens of a step, beside the engine's next steps."""
        return sampled * self.efficiency.token_s

    def decode(self, sequences: int, context: float) -> float:
        """Seconds of a step that only decodes, where one follows another."""
        return max(
            self.device(0, 0.0, 0, sequences, context), sum(self.host(0, 0, sequences)), self.delivery(sequences)
        )

    def _linear(self, tokens: int, sampled: int) -> tuple[float, float]:
        """(seconds of FLOPs, seconds of reading weights) of the linear layers."""
        linear = self.linear
        touched_s = linear.experts_s * (1 - linear.idle_share**tokens) if linear.experts_s else 0.0
        return tokens * linear.token_s + sampled * linear.sample_s, linear.dense_s + touched_s

    def _prompts(self, tokens: int, pairs: float) -> float:
        attention = self.attention
        return pairs * attention.pair_s + min(pairs, tokens * attention.window) * attention.sliding_pair_s

    def _contexts(self, sequences: int, context: float) -> float:
        attention = self.attention
        if not attention.sliding_context_s:
            return context * attention.context_s
        windows = min(context, sequences * attention.window)
        return context * attention.context_s + windows * attention.sliding_context_s
