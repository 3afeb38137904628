"""The peak of activations in vLLM's profiling run, term by term, as its model code and its samplers allocate them.

The run passes `max_num_batched_tokens` tokens through the model without attention, then samples for `max_num_seqs`
requests. Which of four moments is the largest depends on the model:

- the MLP: gate, up and their product, the inputs and outputs of the layer, and, when torch.compile tunes a kernel at
  its first call, a buffer of the size of the L2 cache;
- the experts: two workspaces that stay allocated once they have grown;
- torch.compile timing the fused embedding kernel on copies of its arguments, the embedding matrix among them;
- the sampler: logits in several precisions at once.
"""

from flyball.perf.memory_rank import Rank
from flyball.perf.weights import allocated_bytes, padded_vocabulary

_FREES_GATE_AND_UP = ("LlamaForCausalLM", "MistralForCausalLM", "Phi3ForCausalLM", "GraniteForCausalLM")
"""Their MLP drops gate and up before the down projection; the others keep them by name until the output exists."""


def activation_bytes(rank: Rank) -> int:
    """What vLLM prints as "peak activation" (without the CUDA graphs that later versions add to it)."""
    kept = rank.device.cublas_workspace_bytes + expert_workspace_bytes(rank) + _encoder_outputs_bytes(rank)
    moments = [kept + _forward_bytes(rank)]
    compiled = rank.rules.times_embedding and not rank.settings.enforce_eager
    if compiled and rank.shard.is_first and not rank.model.is_multimodal:
        moments.append(_embedding_timing_bytes(rank))
    if rank.shard.is_last:
        moments.append(kept + _sampler_bytes(rank))
    return max(moments)


def buffer_bytes(rank: Rank) -> int:
    """What the second runner keeps for each request: token counts for penalties, a bit mask, logit biases."""
    if not (rank.rules.v2_runner and rank.rules.counts_buffers):
        return 0
    a_request = 4 * rank.model.vocab_size + rank.model.vocab_size // 8 + 4 * (3 * 1024 + 128)
    return rank.settings.max_num_seqs * a_request


def expert_workspace_bytes(rank: Rank) -> int:
    """Both workspaces of the fused experts: (tokens x experts a token) rows of the widest tensors that share one.

    Source: `TritonExperts.workspace_shapes`. The MXFP4 kernels allocate theirs anew in every call.
    """
    if rank.model.experts is None or rank.has_mxfp4_experts:
        return 0
    inner, hidden = rank.expert_width, rank.model.hidden_size
    rows = rank.settings.max_num_batched_tokens * rank.model.experts.num_experts_per_tok
    return rows * (max(2 * inner, hidden) + max(inner, hidden)) * rank.element_bytes


def _forward_bytes(rank: Rank) -> int:
    """The larger of the MLP and the attention of one layer, with what surrounds them."""
    model, tp = rank.model, rank.shard.tensor_parallel_size
    a_row = rank.settings.max_num_batched_tokens * rank.element_bytes
    hidden = allocated_bytes(a_row * model.hidden_size)
    inner = _mlp_width(rank)
    mlp = allocated_bytes(2 * a_row * inner) + allocated_bytes(a_row * inner) + 3 * hidden
    keys = 0 if model.latent else model.num_key_value_heads * model.head_dim
    heads = (2 * model.query_dim + 3 * keys + model.attention_output_dim) // tp
    peak = max(mlp, a_row * heads + 2 * hidden)
    if not rank.shard.is_first:
        peak += 2 * hidden  # the hidden states and the residual that came from the stage before
    if rank.settings.enforce_eager:
        return peak if model.architecture in _FREES_GATE_AND_UP else peak + hidden
    return peak + rank.device.l2_cache_bytes


def _mlp_width(rank: Rank) -> int:
    model = rank.model
    if rank.has_mxfp4_experts and model.experts:
        return rank.expert_width * model.experts.num_experts_per_tok
    dense = model.experts is None or model.num_dense_layers > 0
    inner = model.intermediate_size if dense or not model.experts else model.experts.shared_intermediate_size
    return inner // rank.shard.tensor_parallel_size


def _embedding_timing_bytes(rank: Rank) -> int:
    """The embedding matrix of the rank once more, with the looked-up rows and their normed copy."""
    vocabulary = padded_vocabulary(rank.model) // rank.shard.tensor_parallel_size
    a_row = rank.model.hidden_size * rank.element_bytes
    return allocated_bytes(vocabulary * a_row) + 2 * allocated_bytes(rank.settings.max_num_batched_tokens * a_row)


def _sampler_bytes(rank: Rank) -> int:
    """Logits for every request, beside the hidden states that they come from.

    The first runner holds them in the model's dtype and as float32 logits, probabilities and noise, and one row for
    each multiprocessor; before 0.17 it sorted them (38 bytes a logit, from boots of 0.11 and 0.15 with two
    vocabularies). The second runner samples from the model's dtype in place.
    """
    element = rank.element_bytes
    requests = min(rank.settings.max_num_seqs, rank.settings.max_num_batched_tokens)
    logits = requests * padded_vocabulary(rank.model)
    hidden = allocated_bytes(rank.settings.max_num_batched_tokens * rank.model.hidden_size * element)
    last = requests * rank.model.hidden_size * element
    if rank.rules.v2_runner:
        return hidden + last + allocated_bytes(logits * element)
    if rank.rules.sorts_logits:
        return hidden + 2 * last + 38 * logits
    stored = allocated_bytes(logits * element) if element < 4 else 0
    kernel_rows = allocated_bytes(rank.device.multiprocessors * rank.model.vocab_size * 4)
    return hidden + 2 * last + stored + 3 * allocated_bytes(4 * logits) + kernel_rows


def _encoder_outputs_bytes(rank: Rank) -> int:
    """Encoded images fill a batch: one hidden state a token, kept through the run."""
    if not rank.model.is_multimodal:
        return 0
    return rank.settings.max_num_batched_tokens * rank.model.hidden_size * rank.element_bytes
