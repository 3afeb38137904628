"""`Efficiency`: how far a real engine stays behind the data sheet, in a few numbers that mean something each."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency:
    """The factors between a roofline and a running vLLM. Calibration fits them; each is a property of chip and version.

    The first seven are the device's, the others the host's: a fast chip beside a slow processor is bound by the latter.
    """

    compute: float = 0.62
    """Share of the dense FLOP/s that a large batch of prompt tokens reaches, everything in its step counted."""
    memory: float = 0.82
    """Share of the memory bandwidth reached while weights and KV cache are read."""
    expert_compute: float = 0.4
    """Share of that which the experts' grouped multiplications reach: few tokens for each of many matrices."""
    step_s_per_layer: float = 35e-6
    """Device time of a layer's small kernels and of the gaps between them: what neither bytes nor FLOPs explain."""
    expert_s_per_layer: float = 40e-6
    """What a layer of experts adds to that: routing, sorting tokens by expert, gathering their results."""
    allreduce_s: float = 12e-6
    """Latency of one all-reduce among tensor-parallel ranks, beside its bytes over the interconnect."""
    interconnect: float = 0.55
    """Share of the link's rate that an all-reduce reaches."""
    host_s: float = 1.2e-3
    """Host time of every step: scheduling, inputs, starting a CUDA graph. It hides behind a longer device step."""
    sequence_s: float = 6e-6
    """What each sequence of the step adds to that: its place in the batch, its token, its stop conditions."""
    launch_s_per_layer: float = 700e-6
    """Host time to launch a layer's compiled kernels one by one, in a step that no CUDA graph covers."""
    eager_launch_s_per_layer: float = 600e-6
    """The same without compilation (`--enforce-eager`): more kernels, less to guard."""
    request_s: float = 1e-3
    """API server's time for one request (HTTP, tokenisation, hand-over); concurrent ones share the process."""
    token_s: float = 55e-6
    """API server's time for one token of one answer: detokenisation, the event, the connection. Beside the engine."""
    delivery_s: float = 2e-3
    """From the engine's token to the client's: the way back through the API server and the connection."""
