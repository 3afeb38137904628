from pathlib import Path

import pytest

from flyball.measurement import EngineSnapshot, parse_exposition

VLLM = (Path(__file__).parent / "data" / "vllm-0.32.0-busy.txt").read_text()


def test_a_real_server() -> None:
    """The numbers of a real vLLM under 12 requests with room for 8."""
    snapshot = EngineSnapshot.of(parse_exposition(VLLM))
    assert snapshot == EngineSnapshot(
        running=8.0,
        waiting=4.0,
        kv_cache_usage=pytest.approx(0.0441989, abs=1e-6),  # type: ignore[arg-type]
        generation_tokens_total=335.0,
        prompt_tokens_total=335.0,
        preemptions_total=0.0,
        ttft_sum_s=pytest.approx(4.7706897, abs=1e-6),  # type: ignore[arg-type]
        ttft_count=9.0,
    )
    assert snapshot.in_system == 12.0


def test_engines_are_added_and_the_fullest_cache_counts() -> None:
    """Requests and tokens of data-parallel engines add up; their cache use is that of the fullest."""
    page = "\n".join(
        f'{name}{{engine="{engine}",model_name="m"}} {value}'
        for engine, values in (("0", (3, 1, 0.2, 10)), ("1", (4, 0, 0.9, 30)))
        for name, value in zip(
            (
                "vllm:num_requests_running",
                "vllm:num_requests_waiting",
                "vllm:kv_cache_usage_perc",
                "vllm:generation_tokens_total",
            ),
            values,
            strict=True,
        )
    )
    snapshot = EngineSnapshot.of(parse_exposition(page))
    assert (snapshot.running, snapshot.waiting, snapshot.kv_cache_usage) == (7.0, 1.0, 0.9)
    assert snapshot.generation_tokens_total == 40.0


def test_metrics_that_vanish_are_none_and_not_zero() -> None:
    """An absent or undefined metric is unknown; the work in the system is known only if both parts are."""
    assert EngineSnapshot.of([]) == EngineSnapshot(
        running=None,
        waiting=None,
        kv_cache_usage=None,
        generation_tokens_total=None,
        prompt_tokens_total=None,
        preemptions_total=None,
        ttft_sum_s=None,
        ttft_count=None,
    )
    snapshot = EngineSnapshot.of(parse_exposition("vllm:num_requests_running 2\nvllm:num_requests_waiting NaN\n"))
    assert (snapshot.running, snapshot.waiting, snapshot.in_system) == (2.0, None, None)
