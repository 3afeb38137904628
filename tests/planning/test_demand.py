"""Rates and lengths of every kind of workload."""

import numpy as np
import pytest

from flyball.errors import UsageError
from flyball.planning import Demand, demand
from flyball.spec import SLO, WorkloadShape, parse_model
from flyball.workload import Recordings, Trace

OBJECTIVE = parse_model(SLO, "{ttft: {p95: 200ms}, tpot: {p95: 50ms}}", source="slo")
NOTHING = Recordings()


def wanted(text: str, recordings: Recordings = NOTHING) -> Demand:
    shape = parse_model(WorkloadShape, text, source="workload")
    return demand(shape, slo=OBJECTIVE, recordings=recordings, rng=np.random.default_rng(0))


@pytest.mark.parametrize(
    ("text", "typical", "peak"),
    [
        ("arrivals: {poisson: 24}", 24, 24),
        ("{arrivals: {poisson: 24}, peak: 60}", 24, 60),
        ("{arrivals: {gamma: {rate: 8, cv: 2}}, peak: 4}", 8, 8),
        ("arrivals: {step: [{rate: 2, duration: 30s}, {rate: 8, duration: 10s}]}", 3.5, 8),
        # 64 clients, each with a request in 0.2 s + 100 x 0.05 s
        ("{arrivals: {closed_loop: 64}, output_tokens: {fixed: 100}}", 64 / 5.2, 64 / 5.2),
    ],
)
def test_rates(text: str, typical: float, peak: float) -> None:
    """The peak is never below the typical rate, and each says where it comes from."""
    found = wanted(text)

    assert found.typical_rate.value == pytest.approx(typical)
    assert found.peak_rate.value == pytest.approx(peak)
    assert found.typical_rate.reason
    assert found.peak_rate.reason


def test_no_traffic_at_all_is_refused_unless_a_peak_is_given() -> None:
    """Steps of rate 0 leave nothing to divide by; with a peak that is planned for."""
    nothing = "arrivals: {step: [{rate: 0, duration: 10s}]}"
    with pytest.raises(UsageError, match="nothing ever arrives"):
        wanted(nothing)
    found = wanted(f"{{{nothing}, peak: 5}}")
    assert (found.typical_rate.value, found.peak_rate.value) == (5, 5)


def test_a_trace_gives_rates_and_lengths() -> None:
    """One request a second for 600 s, and 120 within one minute of it."""
    arrivals = sorted([*(float(second) for second in range(601)), *(300 + index / 2 for index in range(120))])
    count = len(arrivals)
    trace = Trace(arrival_s=tuple(arrivals), prompt_tokens=(100,) * count, output_tokens=(20,) * count)
    found = wanted("arrivals: {trace: requests.csv}", Recordings(trace=trace))

    assert found.typical_rate.value == pytest.approx(count / 600)
    assert found.peak_rate.value == pytest.approx(3, rel=0.05)
    assert (found.mean_prompt_tokens, found.mean_output_tokens) == (100, 20)


def test_the_sample_follows_the_lengths_and_the_gaps() -> None:
    """Mean 483 and 145 tokens (the default mix); gaps of mean 1 whose spread is what gamma arrivals ask for."""
    found = wanted("arrivals: {gamma: {rate: 5, cv: 2}}")
    gaps = np.array(found.traffic.gaps)

    assert found.mean_prompt_tokens == pytest.approx(483, rel=0.05)
    assert found.mean_output_tokens == pytest.approx(145, rel=0.05)
    assert gaps.mean() == pytest.approx(1)
    assert gaps.std() == pytest.approx(2, rel=0.15)


def test_the_context_is_for_nearly_the_longest() -> None:
    """One prompt in ten thousand of the default mix has more than 3,757 tokens, one output more than 1,132."""
    assert wanted("arrivals: {poisson: 1}").longest_request.value == pytest.approx(3757 + 1132, abs=3)
    assert wanted("{prompt_tokens: {fixed: 512}, output_tokens: {fixed: 128}}").longest_request.value == 640
