"""`StepTime`: the seconds of one engine step, from bytes, FLOPs, messages and launches.

This is flyball's only model of speed. Latency, plans, the simulation and the twin all take their seconds from it.

    device = max(linear FLOPs / rate, weight bytes / bandwidth)        one pass over the weights, batch by batch
           + attention of prompts (FLOPs) + attention of decoding (bytes of the KV cache)
           + all-reduces + layers x small kernels
    host   = step + sequences x one token's work + layers x launches, where no CUDA graph covers the step
    step   = the longer of the two: vLLM prepares the next step while the device computes this one
"""

from dataclasses import dataclass
from typing import Literal

Bound = Literal["memory", "compute", "communication", "overhead", "host", "delivery"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one step computes."""

    prefill_tokens: int = 0
    prefill_pairs: float = 0.0
    """Pairs of a computed prompt token and one that it attends to; `prompt_pairs` of a whole prompt."""
    prefill_sequences: int = 0
    decode_sequences: int = 0
    context_tokens: int = 0
    """Lengths of the decoding sequences together."""

    @property
    def tokens(self) -> int:
        return self.prefill_tokens + self.decode_sequences


def prompt_pairs(tokens: int, *, before: int = 0) -> float:
    """Pairs of the causal attention of `tokens` prompt tokens that follow `before` others."""
    return tokens * (before + tokens / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """The seconds of a step and what they are made of; `seconds` is the longest of device, host and delivery."""

    compute_s: float
    """FLOPs of the linear layers and of the prompts' attention at the rate that is reached."""
    memory_s: float
    """Weights and KV cache at the bandwidth that is reached."""
    communication_s: float
    overhead_s: float
    """Small kernels and gaps on the device."""
    device_s: float
    """Less than the sum of the above, since compute and memory overlap."""
    host_s: float
    """The engine's own process: scheduling, inputs, and launching kernels where no CUDA graph covers the step."""
    delivery_s: float
    """The API server's process: turning the step's tokens into events of their streams."""

    @property
    def seconds(self) -> float:
        """The longest of the three, which work side by side on successive steps."""
        return max(self.device_s, self.host_s, self.delivery_s)

    @property
    def bound(self) -> Bound:
        """What one would have to improve to shorten it."""
        if self.device_s < max(self.host_s, self.delivery_s):
            return "host" if self.host_s >= self.delivery_s else "delivery"
        parts: dict[Bound, float] = {
            "memory": self.memory_s,
            "compute": self.compute_s,
            "communication": self.communication_s,
            "overhead": self.overhead_s,
        }
        return max(parts, key=lambda part: parts[part])
