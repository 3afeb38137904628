"""A prefix that all prompts share: computed once, kept once."""

from collections.abc import Callable

import pytest

from flyball.planning import PlanOutcome

SPEC = """
model: {id: meta-llama/Llama-3.1-8B-Instruct}
workload: {arrivals: {poisson: 8}, prompt_tokens: {fixed: 3400}, shared_prefix_tokens: %d}
hardware: {cloud: none, accelerators: [H100]}
"""


def test_what_is_shared_costs_no_computation_and_no_blocks(planner: Callable[..., PlanOutcome]) -> None:
    """Of 3,400 tokens 2,992 (187 blocks of 16) are cached: fewer replicas, a pool for several times the requests."""
    alone, shared = (planner(SPEC % tokens).plan for tokens in (0, 3000))
    assert alone is not None
    assert shared is not None
    assert shared.chosen.capacity.rate > 4 * alone.chosen.capacity.rate
    assert shared.chosen.replicas.needed_peak < alone.chosen.replicas.needed_peak
    # A request of 3,545 tokens needs 222 blocks alone, 35 beside the shared ones.
    assert shared.engine_args["max_num_seqs"] > 4 * alone.engine_args["max_num_seqs"]
    assert "2,992 of the 3,400 tokens" in shared.reasons["workload.shared_prefix_tokens"]
    assert "workload.shared_prefix_tokens" not in alone.reasons


def test_without_the_cache_nothing_is_shared(planner: Callable[..., PlanOutcome]) -> None:
    """`enable_prefix_caching: false` makes the prefix a part of the prompt like any other."""
    off = planner(SPEC % 3000 + "engine: {enable_prefix_caching: false}\n").plan
    alone = planner(SPEC % 0).plan
    assert off is not None
    assert alone is not None
    assert off.chosen.capacity.rate == pytest.approx(alone.chosen.capacity.rate)
