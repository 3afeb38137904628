"""The scaling query in Prometheus' own evaluator (promtool): what happens to the signal when replicas come and go."""

from collections.abc import Callable, Mapping

import pytest

from flyball.catalog import release
from flyball.manifests.queries import scaling_query
from flyball.spec.autoscaling import Signal

TARGET = 'namespace="llm",job="chat-engine",container="vllm"'
LABELS = TARGET + ',engine="0",model_name="m"'


def series(pod: str, running: str, waiting: str) -> dict[str, str]:
    """One replica's gauges, a value every 15 s."""
    return {
        f'vllm:num_requests_running{{{LABELS},pod="{pod}"}}': running,
        f'vllm:num_requests_waiting{{{LABELS},pod="{pod}"}}': waiting,
    }


TWO_BUSY = series("a", "20x10", "4x10") | series("b", "16x10", "0x10")
Promtool = Callable[..., str]
Steps = Mapping[str, float | None]


def signal_test(
    inputs: Mapping[str, str], expected: Steps, *, signal: Signal = "in_system", floor: float = 0.0
) -> object:
    query = scaling_query(signal, name="chat", namespace="llm", release=release("0.33.0"), done_elsewhere=floor)
    samples = {at: [] if value is None else [{"labels": "{}", "value": value}] for at, value in expected.items()}
    return {
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [{"series": name, "values": values} for name, values in inputs.items()],
                "promql_expr_test": [
                    {"expr": query, "eval_time": at, "exp_samples": value} for at, value in samples.items()
                ],
            }
        ],
    }


CASES: dict[str, tuple[Mapping[str, str], Steps]] = {
    "the sum over replicas, running and waiting": (TWO_BUSY, {"30s": 40}),
    # The scrape at 30 s fails for b: Prometheus marks its series stale.
    "a failed scrape takes nothing away": (
        series("a", "20x10", "4x10") | series("b", "16 16 stale 18 18", "0 0 stale 0 0"),
        {"15s": 40, "30s": 40, "45s": 42},
    ),
    "a replica that is gone leaves within two scrapes": (
        series("a", "20x20", "4x20") | series("b", "16 16 stale", "0 0 stale"),
        {"45s": 40, "75s": 24},
    ),
    # Pods that load answer no scrape; the running one has all the work.
    "loading replicas neither add nor dilute": (
        series("a", "20x20", "30x20") | {'up{namespace="llm",job="chat-engine",pod="b"}': "0x20"},
        {"60s": 50},
    ),
    # Old pod a drains, new pod b takes over: the work is in the sum all the while.
    "a rollout moves the work, and the sum stays": (
        series("a", "20 15 10 5 0 stale", "0x4 stale") | series("b", "_ 5 10 15 20 20 20 20 20", "_ 0x7"),
        {"0s": 20, "15s": 20, "30s": 20, "45s": 20, "60s": 20, "75s": 20, "2m": 20},
    ),
    "ranks of one replica are added": (
        series("a", "10x4", "1x4") | series('a",rank="1', "7x4", "2x4"),
        {"30s": 20},
    ),
    "all targets lost is nothing, not zero": (
        series("a", "20 20 stale", "4 4 stale"),
        {"30s": 24, "1m": None, "5m": None},
    ),
    "another service, another job and another namespace do not count": (
        TWO_BUSY
        | {name.replace("chat-engine", "chat2-engine"): value for name, value in TWO_BUSY.items()}
        | {name.replace("chat-engine", "annotated-pods"): value for name, value in TWO_BUSY.items()}
        | {name.replace('"llm"', '"other"'): value for name, value in TWO_BUSY.items()},
        {"30s": 40},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_signal_follows_the_work(case: str, promtool: Promtool) -> None:
    """Failed scrapes, loading pods, rollouts and lost targets change the sum only as the work does."""
    inputs, expected = CASES[case]

    promtool("test", "rules", "signal.yaml", signal=signal_test(inputs, expected))


def test_the_cache_signal_takes_the_fullest_rank_of_each_replica(promtool: Promtool) -> None:
    """Ranks of 0.9 and 0.1 are a replica of 0.9: that is where requests are preempted."""
    inputs = {
        f'vllm:kv_cache_usage_perc{{{TARGET},model_name="m",pod="{pod}",engine="{rank}"}}': f"{value}x4"
        for pod, rank, value in (("a", 0, 0.9), ("a", 1, 0.1), ("b", 0, 0.25))
    }

    promtool("test", "rules", "signal.yaml", signal=signal_test(inputs, {"30s": 1.15}, signal="kv"))


def test_what_a_fixed_floor_does_is_taken_off(promtool: Promtool) -> None:
    """A floor of one replica at target 24 leaves 16 of 40 to order for, and never less than nothing."""
    promtool("test", "rules", "signal.yaml", signal=signal_test(TWO_BUSY, {"30s": 16}, floor=24))
    promtool("test", "rules", "signal.yaml", signal=signal_test(TWO_BUSY, {"30s": 0}, floor=48))
    lost = series("a", "20 stale", "4 stale")
    promtool("test", "rules", "signal.yaml", signal=signal_test(lost, {"2m": None}, floor=24))
