from dataclasses import replace

import pytest

from flyball.catalog import load_catalog
from flyball.errors import UsageError
from flyball.perf.architecture_table import builtin_architecture
from flyball.perf.calibration import Calibration, calibrate, residuals, spread
from flyball.perf.calibrations import (
    calibration_for,
    calibrations_from_json,
    calibrations_to_json,
    replaced,
    shipped_calibrations,
)
from flyball.perf.efficiency import Efficiency
from flyball.perf.load import LoadRequest
from flyball.perf.load_statistics import LoadStatistics
from flyball.perf.measured_load import MeasuredEngine, MeasuredLoad
from flyball.perf.step_time import prompt_pairs
from measured_engines import LLAMA, engine, h200_loads

_H200 = load_catalog().accelerator("H200")
_LOADS = list(h200_loads())


def _errors(load: str) -> dict[str, float]:
    efficiency = calibration_for(_H200, "0.26.0").efficiency
    return {each.statistic: each.error for each in residuals([h200_loads()[load]], efficiency)}


@pytest.mark.parametrize("load", ["default, 1 clients", "eager, 1 clients"])
def test_one_stream_is_predicted(load: str) -> None:
    """TPOT within 5 % and TTFT within 10 % of a measured H200, with graphs and without."""
    found = _errors(load)
    assert abs(found["tpot_mean_s"]) <= 0.05
    assert abs(found["ttft_mean_s"]) <= 0.10


@pytest.mark.parametrize("load", _LOADS)
def test_mean_ttft_is_predicted(load: str) -> None:
    """Within 10 %, at low load and beyond saturation."""
    assert abs(_errors(load)["ttft_mean_s"]) <= 0.10


@pytest.mark.parametrize("load", _LOADS)
def test_throughput_is_predicted(load: str) -> None:
    """Within 10 % on every load, saturated ones among them."""
    assert abs(_errors(load)["requests_per_s"]) <= 0.10


@pytest.mark.parametrize("load", [load for load in _LOADS if "Poisson" in load])
def test_an_open_loop_is_predicted(load: str) -> None:
    """Every latency within 10 %, the tails too."""
    for name, error in _errors(load).items():
        assert abs(error) <= 0.10, name


def test_the_known_engine_chokes_with_sixteen_places() -> None:
    """The recorded 24 requests per second, had `max_num_seqs` been 16: TTFT p95 6.7 s was measured, on another boot."""
    load = h200_loads()["seqs64, Poisson 24/s"]
    settings = replace(load.engine.settings, max_num_seqs=16)
    choked = replace(load, engine=replace(load.engine, settings=settings))
    predicted = choked.predicted(calibration_for(_H200, "0.26.0").efficiency)
    assert predicted.ttft_p95_s == pytest.approx(6.7, rel=0.1)


_TRUE = Efficiency(
    compute=0.5, memory=0.7, step_s_per_layer=4.5e-5, launch_s_per_layer=3e-4, request_s=3e-3, token_s=3e-5
)


def _synthetic(started: MeasuredEngine, name: str, requests: list[LoadRequest], clients: int | None) -> MeasuredLoad:
    """What an engine with the true factors would have been measured at."""
    load = MeasuredLoad(
        name=name, engine=started, requests=tuple(requests), concurrency=clients, measured=LoadStatistics()
    )
    return replace(load, measured=load.predicted(_TRUE))


def _synthetic_loads() -> list[MeasuredLoad]:
    started = engine(max_num_seqs=256, max_num_batched_tokens=8192)
    return [
        _synthetic(started, "one", [LoadRequest(512, 64)] * 6, 1),
        _synthetic(started, "long contexts", [LoadRequest(6000, 64)] * 24, 12),
        _synthetic(started, "wide", [LoadRequest(200 + 7 * (i % 11), 128) for i in range(120)], 40),
        _synthetic(started, "open", [LoadRequest(600, 40 + i % 7, 0.11 * i) for i in range(60)], None),
    ]


@pytest.mark.long
def test_known_factors_are_recovered() -> None:
    """Synthetic loads give back the factors they were made with, as far as they tell them apart; others stay."""
    loads = _synthetic_loads()
    found, _ = calibrate(loads, start=Efficiency(), source="synthetic", as_of="2026-11-23")
    assert found.error < 0.05 + 0.2 / 4**0.5
    for each in residuals(loads, found.efficiency):
        if each.statistic.endswith(("mean_s", "per_s")):
            assert abs(each.error) < 0.1, each
    fitted, true = (loads[0].engine.step_model(each) for each in (found.efficiency, _TRUE))
    assert found.efficiency.compute == pytest.approx(_TRUE.compute, rel=0.05)
    assert fitted.device(4096, prompt_pairs(4096), 1, 0, 0) == pytest.approx(
        true.device(4096, prompt_pairs(4096), 1, 0, 0), rel=0.03
    )
    for sequences, length in ((1, 512), (32, 512), (12, 6000)):
        seconds = true.decode(sequences, sequences * length)
        assert fitted.decode(sequences, sequences * length) == pytest.approx(seconds, rel=0.03)
    assert found.efficiency.allreduce_s == Efficiency().allreduce_s
    assert found.efficiency.expert_compute == Efficiency().expert_compute
    assert (found.accelerator, found.models, found.loads) == ("H200", (LLAMA,), 4)


def test_one_good_fit_is_no_certainty() -> None:
    """A single load is fitted closely, but says little about others."""
    found, _ = calibrate(_synthetic_loads()[:1], start=_TRUE, source="synthetic", as_of="2026-11-23")
    assert found.error >= 0.2


def test_a_spread_of_many_loads_is_fitted() -> None:
    """Each model has its share, and the few loads of a rare one are all there."""
    common, rare = engine(), replace(engine(), model=replace(engine().model, name="rare"))
    loads = [_load(common, f"load {index}") for index in range(60)] + [
        _load(rare, f"rare {index}") for index in range(3)
    ]
    chosen = spread(loads, 12)

    assert len(chosen) == 12
    assert sum(load.engine is rare for load in chosen) == 3
    assert len({id(load) for load in chosen}) == 12
    assert spread(loads[:5], 12) == loads[:5]


def _load(of: MeasuredEngine, name: str) -> MeasuredLoad:
    return MeasuredLoad(name=name, engine=of, requests=(), concurrency=1, measured=LoadStatistics())


def test_a_model_that_was_not_fitted_is_less_certain() -> None:
    """Its interval is wider than that of one with the shape of a fitted one; factors are the same."""
    names = (LLAMA, "meta-llama/Llama-3.1-8B-Instruct", "Qwen/Qwen2.5-7B-Instruct")
    fitted, instruct, other = (calibration_for(_H200, "0.26.0", model=builtin_architecture(name)) for name in names)

    assert fitted == instruct == calibration_for(_H200, "0.26.0")
    assert other.efficiency == fitted.efficiency
    assert other.error > fitted.error + 0.05
    assert other.ttft_error > fitted.ttft_error + 0.05


def _calibration(version: str, accelerator: str = "H200", compute: float = 0.6) -> Calibration:
    return Calibration(
        accelerator=accelerator, version=version, models=(LLAMA,), efficiency=Efficiency(compute=compute), error=0.1,
        ttft_error=0.12, loads=3, source="a test", as_of="2026-11-23",
    )  # fmt: skip


def test_the_nearest_version_is_used() -> None:
    """The newest that is not newer; the user's own before flyball's."""
    own = [_calibration("0.20.0", compute=0.2), _calibration("0.28.0", compute=0.3), _calibration("0.33.0")]
    assert calibration_for(_H200, "0.26.0", own).efficiency.compute == 0.2
    assert calibration_for(_H200, "0.30.0", own).efficiency.compute == 0.3
    assert calibration_for(_H200, "0.19.0", own).efficiency.compute == 0.2
    assert calibration_for(_H200, "0.26.0") in shipped_calibrations()


def test_calibrations_survive_their_file() -> None:
    """What is written is read back, and a new one replaces that of the same chip and version only."""
    kept = [_calibration("0.20.0"), _calibration("0.20.0", "L4")]
    kept = replaced(kept, _calibration("0.20.0", compute=0.5))
    assert calibrations_from_json(calibrations_to_json(kept), source="test") == kept
    assert [(each.accelerator, each.efficiency.compute) for each in kept] == [("L4", 0.6), ("H200", 0.5)]


@pytest.mark.parametrize("text", ["", "{}", '{"calibrations": [{"accelerator": "H200"}]}', '{"calibrations": [1]}'])
def test_another_file_is_refused_by_name(text: str) -> None:
    """Not with a stack trace."""
    with pytest.raises(UsageError, match=r"mine\.json"):
        calibrations_from_json(text, source="mine.json")


def test_shipped_calibrations_are_sound() -> None:
    """Each names a chip of the catalog, its source and its day; no factor exceeds what the data sheet promises."""
    for each in shipped_calibrations():
        assert load_catalog().accelerator(each.accelerator).name == each.accelerator
        assert each.source
        assert each.as_of
        assert each.loads > 0
        assert 0.3 < each.efficiency.compute < 1
        assert 0.5 < each.efficiency.memory < 1
        assert 0 < each.error < 0.35
