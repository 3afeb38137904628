"""The objective in vLLM's histograms: which bucket stands for a bound, and what the engine is told."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.catalog import release
from flyball.manifests.latency import bucket_flag, histogram_buckets, objectives
from flyball.spec import SLO, Percentiles

NEW, OLD = release("0.33.0"), release("0.31.0")


def test_a_bound_between_two_buckets_is_added() -> None:
    """200 ms of TTFT: vLLM has 100 and 250 ms; the family keeps its own bounds and gets this one."""
    buckets = histogram_buckets(SLO(ttft=Percentiles(p95=0.2)), NEW)
    defaults = NEW.metric("vllm:time_to_first_token_seconds").buckets or ()

    assert buckets.keys() == {"time_to_first_token"}
    assert set(buckets["time_to_first_token"]) - set(defaults) == {0.2}


def test_a_bound_that_is_a_bucket_needs_no_flag() -> None:
    """50 ms between tokens is one of vLLM's own."""
    assert bucket_flag(SLO(tpot=Percentiles(p95=0.05)), NEW) == {}


def test_a_bound_below_all_buckets_gets_company() -> None:
    """VLLM's end-to-end latency starts at 300 ms; a bound of 200 ms alone would leave nothing to interpolate below."""
    buckets = histogram_buckets(SLO(e2e=Percentiles(p95=0.2)), NEW)["request_latency"]

    assert buckets[:4] == [0.05, 0.1, 0.2, 0.3]


def test_before_the_flag_the_stricter_bucket_stands_for_the_bound() -> None:
    """VLLM 0.31 cannot be told: 200 ms is judged at 100 ms, which calls some good requests late, never the reverse."""
    slo = SLO(ttft=Percentiles(p95=0.2))
    (objective,) = objectives(slo, OLD)

    assert bucket_flag(slo, OLD) == {}
    assert (objective.bound_s, objective.bucket_s, objective.le) == (0.2, 0.1, "0.1")


@pytest.mark.parametrize(("bound", "label"), [(0.2, "0.2"), (1.0, "1.0"), (20.0, "20.0"), (0.05, "0.05")])
def test_the_label_is_written_as_vllm_writes_it(bound: float, label: str) -> None:
    """prometheus_client writes whole numbers with a point; `le="20"` would match nothing."""
    (objective,) = objectives(SLO(ttft=Percentiles(p95=bound)), NEW)

    assert objective.le == label


BOUND = st.floats(min_value=0.001, max_value=600).map(lambda value: round(value, 3))


@given(ttft=BOUND, tpot=BOUND, e2e=BOUND)
def test_any_bound_becomes_a_bucket(ttft: float, tpot: float, e2e: float) -> None:
    """Every objective is judged at its own bound, and the flag is what vLLM accepts: rising, positive, JSON."""
    slo = SLO(ttft=Percentiles(p99=ttft), tpot=Percentiles(p95=tpot), e2e=Percentiles(p90=e2e))
    flag = {name: json.loads(because.value) for name, because in bucket_flag(slo, NEW).items()}

    assert all(objective.bucket_s == objective.bound_s for objective in objectives(slo, NEW))
    for bounds in flag.get("custom_histogram_buckets", {}).values():
        assert bounds == sorted(set(bounds))
        assert bounds[0] > 0
    NEW.check_args({name: because.value for name, because in bucket_flag(slo, NEW).items()})
