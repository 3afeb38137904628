"""Known answers of an H200 with Llama-3.1-8B, and what must hold of any."""

from functools import cache

import numpy as np
import pytest

from flyball.catalog import load_catalog
from flyball.perf.calibrations import calibration_for
from flyball.perf.latency import Knee, Prediction, Replica, Traffic, at_concurrency, at_rate, knee, saturation_rate
from flyball.spec import SLO
from measured_engines import engine

_GUIDE = SLO.model_validate({"ttft": {"p95": "200ms"}, "tpot": {"p95": "50ms"}})


@cache
def _traffic() -> Traffic:
    """Log-normal prompts of 480 and outputs of 145 tokens on average, Poisson arrivals."""
    rng = np.random.default_rng(7)
    return Traffic(
        prompt_tokens=np.maximum(8, rng.lognormal(6.0, 0.6, 2000)).astype(int).tolist(),
        output_tokens=np.maximum(4, rng.lognormal(4.8, 0.6, 2000)).astype(int).tolist(),
        gaps=rng.exponential(1.0, 2000).tolist(),
    )


def _replica(max_num_seqs: int, kv_cache_tokens: int = 896_912, chip: str = "H200") -> Replica:
    started = engine(chip=chip, max_num_seqs=max_num_seqs, max_num_batched_tokens=8192)
    calibration = calibration_for(load_catalog().accelerator(chip), "0.26.0")
    model = started.step_model(calibration.efficiency)
    return Replica(model=model, kv_cache_tokens=kv_cache_tokens, error=calibration.error)


@cache
def _knee(max_num_seqs: int) -> Knee:
    return knee(_replica(max_num_seqs), _traffic(), _GUIDE)


@cache
def _at(max_num_seqs: int, rate: float) -> Prediction:
    return at_rate(_replica(max_num_seqs), _traffic(), rate)


def _ttft_p95(prediction: Prediction) -> tuple[float, float, float]:
    values = [each.ttft_p95_s for each in (prediction.fast, prediction.expected, prediction.slow)]
    assert all(value is not None for value in values)
    fast, expected, slow = (value or 0.0 for value in values)
    return fast, expected, slow


def test_one_h200_holds_24_requests_per_second() -> None:
    """Measured with `max_num_seqs` 64: TTFT p95 88 ms, TPOT p95 11 ms. Feasible at 200 ms, interval and all."""
    found = _at(64, 24.0)
    assert found.expected.ttft_p95_s == pytest.approx(0.088, rel=0.15)
    assert found.expected.tpot_p95_s == pytest.approx(0.011, rel=0.15)
    assert _knee(64).low > 24
    assert _ttft_p95(found)[2] < 0.2


@pytest.mark.long
def test_sixteen_places_are_too_few() -> None:
    """Measured with `max_num_seqs` 16: the queue grows without bound. The engine cannot complete 24 a second at all."""
    found = _knee(16)
    assert found.high < found.saturation_rate < 0.8 * 24
    assert _at(16, 24.0).expected.ttft_p95_s > 1.0  # type: ignore[operator]


def test_more_places_hold_more() -> None:
    """Until something else binds, the knee rises with `max_num_seqs`."""
    assert _knee(16).rate < _knee(64).rate < _knee(256).rate


def test_a_small_cache_is_a_small_batch() -> None:
    """With 20,000 tokens of KV cache the same engine completes less."""
    assert saturation_rate(_replica(256, 20_000), _traffic()) < 0.8 * saturation_rate(_replica(256), _traffic())


@pytest.mark.long
def test_the_knee_lies_below_saturation_and_in_its_interval() -> None:
    """And a stricter objective has a lower one; one below the chip's floor has none."""
    found = _knee(64)
    assert found.low < found.rate < found.high
    assert found.rate < found.saturation_rate
    strict = knee(_replica(64), _traffic(), SLO.model_validate({"tpot": {"p95": "8ms"}}))
    assert 0 < strict.rate < found.rate
    assert knee(_replica(64), _traffic(), SLO.model_validate({"tpot": {"p50": "2ms"}})).rate == 0


def test_intervals_widen_near_saturation() -> None:
    """A tenth more load is nothing to an idle engine and much to a full one."""
    saturation = _knee(64).saturation_rate
    widths = []
    for share in (0.2, 0.95):
        fast, expected, slow = _ttft_p95(_at(64, share * saturation))
        assert fast <= expected <= slow
        widths.append(slow / fast)
    assert widths[1] > 2 * widths[0]


def test_an_uncalibrated_chip_says_so() -> None:
    """Its intervals are wider."""
    unknown = calibration_for(load_catalog().accelerator("L40S"), "0.26.0")
    known = calibration_for(load_catalog().accelerator("H200"), "0.26.0")
    assert not unknown.calibrated
    assert "not calibrated" in unknown.source
    assert unknown.error > 2 * known.error


def test_clients_trade_latency_for_throughput() -> None:
    """More clients of a closed loop: more tokens a second, and longer answers."""
    few, many = (at_concurrency(_replica(256), _traffic(), clients).expected for clients in (4, 64))
    assert few.output_tokens_per_s is not None
    assert many.output_tokens_per_s is not None
    assert few.output_tokens_per_s < many.output_tokens_per_s < 16 * few.output_tokens_per_s
    assert few.tpot_p50_s is not None
    assert many.tpot_p50_s is not None
    assert few.tpot_p50_s < many.tpot_p50_s


def test_slower_steps_are_another_clock() -> None:
    """At next to no load every latency scales with the error, rates against it."""
    found = at_concurrency(_replica(64), _traffic(), 1)
    error = _replica(64).error
    assert found.slow.tpot_p50_s == pytest.approx((1 + error) * (found.expected.tpot_p50_s or 0))
    assert found.slow.requests_per_s == pytest.approx((found.expected.requests_per_s or 0) / (1 + error))
