"""A measured H200: what is proposed from its boot and two of its loads, before anything else is tried."""

from functools import cache

import numpy as np
import pytest

from flyball.catalog import load_catalog
from flyball.perf import Efficiency, builtin_architecture
from flyball.perf.calibrations import calibration_for
from flyball.planning import demand
from flyball.spec import SLO, Arrivals, FlagsSpec, NumbersSpec, WorkloadShape
from flyball.tune.prediction import Expectation, Predictor
from flyball.tune.proposal import Proposal, propose
from flyball.tune.space import space
from flyball.tune.trial import Flags, Probe, Trial
from flyball.workload import Recordings
from measured_engines import LLAMA, h200_loads

RATE = 24.0
GUIDE = SLO.model_validate({"ttft": {"p95": "200ms"}, "tpot": {"p95": "50ms"}})
START: Flags = {"max_num_seqs": 16, "max_num_batched_tokens": 8192}
LOADS = ("seqs64, Poisson 8/s", "seqs64, Poisson 24/s")


@cache
def _predictor() -> Predictor:
    """Factors typical of any chip, corrected by the two loads; the flags are those of the recorded boot."""
    architecture, chip = builtin_architecture(LLAMA), load_catalog().accelerator("H200")
    assert architecture is not None
    shape = WorkloadShape(arrivals=Arrivals(poisson=RATE))
    blank = Predictor(
        architecture=architecture,
        accelerator=chip,
        version="0.26.0",
        fixed={"max_model_len": 8192, "gpu_memory_utilization": 0.9},
        demand=demand(shape, slo=GUIDE, recordings=Recordings(), rng=np.random.default_rng(0)),
        slo=GUIDE,
        efficiency=Efficiency(),
        error=0.35,
    )
    return blank.recalibrated([h200_loads()[name] for name in LOADS], prior=0.35)


def _start() -> Trial:
    """As the recorded engine would have measured: at 16 sequences its queue grows without bound at 24 a second."""
    probes = tuple(
        Probe(round=0, rate=rate, verdict="held" if rate < 11 else "missed", requests=100, attainment=0.9,
              measured_s={}, preemptions=0, thrown_away=0, seconds=30, records="")
        for rate in (10.5, 11.0, RATE)
    )  # fmt: skip
    return Trial(number=0, flags=START, why="the start", expected=None, start_s=90, seconds=400, probes=probes)


def test_two_loads_correct_the_model() -> None:
    """Typical factors were fitted on other chips; two loads bring the rates to those of the shipped calibration."""
    chip = load_catalog().accelerator("H200")
    known = calibration_for(chip, "0.26.0")
    found = _predictor().efficiency
    assert _predictor().error < 0.25
    assert found.compute == pytest.approx(known.efficiency.compute, rel=0.15)


def test_at_least_64_sequences_are_proposed() -> None:
    """For 24 requests/s, from a start at 16 that cannot hold them."""
    bounds = FlagsSpec(
        max_num_seqs=NumbersSpec(values=(16, 64, 256)), max_num_batched_tokens=NumbersSpec(values=(8192,))
    )
    found = propose(space(bounds, START, device="cuda"), [_start()], _predictor(), worth=0.01)
    assert isinstance(found, Proposal)
    sequences = found.flags["max_num_seqs"]
    assert isinstance(sequences, int)
    assert sequences >= 64
    assert found.guess > RATE
    assert "expected gain" in found.why


def test_sixteen_are_explained() -> None:
    """Not by GPU utilisation, which read 87 %: the batch completes fewer requests than arrive."""
    said = _predictor().explain(START, RATE)
    assert "queue grows without bound" in said
    assert "completes at most 1" in said  # 17 or 18 a second
    expectation = _predictor().expect({"max_num_seqs": 64, "max_num_batched_tokens": 8192})
    assert isinstance(expectation, Expectation)
    assert expectation.rate > RATE
    assert "limited by" in _predictor().explain({"max_num_seqs": 64, "max_num_batched_tokens": 8192}, RATE)
