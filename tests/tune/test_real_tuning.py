"""Trials on the real vLLM: one that it refuses, one that it serves."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from flyball.catalog import load_catalog
from flyball.engine import SMALL_MODEL_ID, Engine
from flyball.planning import demand
from flyball.spec import ServingSpec, parse_model
from flyball.tune.proposal import Finished, Proposal
from flyball.tune.run import Inputs, Progress, run
from flyball.tune.trial import Flags, Trial
from flyball.workload import Recordings

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(300)]

SPEC = f"""
model: {{id: {SMALL_MODEL_ID}, served_name: small}}
slo: {{ttft: {{p95: 1500ms}}}}
workload:
  arrivals: {{poisson: 2}}
  prompt_tokens: {{fixed: 8}}
  output_tokens: {{fixed: 4}}
scaling: {{min: 1, max: 1}}
local: {{kv_cache: 256Mi}}
engine: {{max_num_seqs: 4}}
tune: {{requests: 20, resolution: 0.5, flags: {{max_model_len: {{values: [2048, 16384]}}}}}}
"""


def _two(trials: Sequence[Trial]) -> Proposal | Finished:
    flags: Flags = {"max_num_seqs": 4, "max_num_batched_tokens": 2048}
    if not trials:
        return Proposal(flags={**flags, "max_model_len": 16384}, why="longer than the model's context", guess=2.0)
    return Proposal(flags=flags, why="as it is", guess=2.0) if len(trials) == 1 else Finished(why="both were tried")


async def test_a_refusal_and_a_measurement(tmp_path: Path, installed_engine: Engine) -> None:
    """The engine's own words for the one, a rate with its records for the other, and no process afterwards."""
    spec = parse_model(ServingSpec, SPEC, source="spec")
    inputs = Inputs(
        spec=spec,
        recordings=Recordings(),
        demand=demand(spec.workload, slo=spec.slo, recordings=Recordings(), rng=np.random.default_rng(0)),
        catalog=load_catalog(),
        calibrations=(),
        server=installed_engine,
        seed=0,
        recipe=False,
        folder=tmp_path,
    )
    said: list[str] = []
    progress = Progress()
    await asyncio.wait_for(run(inputs, past=None, say=said.append, progress=progress, proposer=_two), 250)

    assert progress.session is not None
    refused, measured = progress.session.trials
    assert refused.refusal is not None
    assert "longer than the model's context of 8192 tokens" in refused.refusal.cause
    assert "max_model_len (16384)" in refused.refusal.evidence
    assert measured.refusal is None, said
    assert measured.estimate.rate > 0
    assert measured.probes[0].preemptions == 0
    assert (tmp_path / "trials" / "01" / measured.probes[0].records).stat().st_size > 0
