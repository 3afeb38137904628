"""`EngineSnapshot`: what one vLLM server says about itself at one moment."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from flyball.measurement.exposition import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSnapshot:
    """vLLM's own metrics, over all engines of the server (data-parallel ranks have an `engine` label each).

    None is a metric that is not there: before the engine has started, after it died, with --disable-log-stats, or in
    a release without it. Counters fall to 0 when the server restarts.
    """

    running: float | None
    waiting: float | None
    kv_cache_usage: float | None
    """0 to 1, of the fullest engine: requests wait and are preempted where it is full, however empty the others are."""
    generation_tokens_total: float | None
    prompt_tokens_total: float | None
    preemptions_total: float | None
    ttft_sum_s: float | None
    ttft_count: float | None

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> Self:
        """The snapshot in the samples of one scrape; values that are not numbers count as absent."""
        values: dict[str, list[float]] = {}
        for sample in samples:
            if sample.name.startswith("vllm:") and math.isfinite(sample.value):
                values.setdefault(sample.name, []).append(sample.value)

        def total(name: str) -> float | None:
            return sum(values[name]) if name in values else None

        return cls(
            running=total("vllm:num_requests_running"),
            waiting=total("vllm:num_requests_waiting"),
            kv_cache_usage=max(values.get("vllm:kv_cache_usage_perc", []), default=None),
            generation_tokens_total=total("vllm:generation_tokens_total"),
            prompt_tokens_total=total("vllm:prompt_tokens_total"),
            preemptions_total=total("vllm:num_preemptions_total"),
            ttft_sum_s=total("vllm:time_to_first_token_seconds_sum"),
            ttft_count=total("vllm:time_to_first_token_seconds_count"),
        )

    @property
    def in_system(self) -> float | None:
        """Running and waiting requests; None unless both are known."""
        return None if self.running is None or self.waiting is None else self.running + self.waiting
