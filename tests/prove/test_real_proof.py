from pathlib import Path

import pytest

from flyball.engine import Engine
from flyball.processes import free_port
from flyball.prove.proof import prove
from flyball.prove.verdict import Evidence
from flyball.spec import ServingSpec, parse_model

# As examples/local.yaml, but to two replicas and with shorter stretches; the objective is one that any machine meets.
SPEC = """
name: real
model: {id: HuggingFaceTB/SmolLM2-135M-Instruct}
slo: {ttft: {p95: 60s}, tpot: {p95: 5s}}
workload:
  arrivals: {poisson: 0.5}
  prompt_tokens: {lognormal: {mu: 4.0, sigma: 0.4, min: 16, max: 160}}
  output_tokens: {lognormal: {mu: 3.5, sigma: 0.3, min: 16, max: 64}}
scaling: {min: 1, max: 2}
engine: {max_num_seqs: 4, max_model_len: 1024}
prove: {baseline: 10s, hold: 10s, patience: 300s}
"""


@pytest.mark.vllm
@pytest.mark.envoy
@pytest.mark.timeout(900)
async def test_a_real_fleet_scales_heals_and_drains(tmp_path: Path, installed_engine: Engine) -> None:
    """Real vLLM behind real Envoy: 1 to 2 replicas under load, a kill that loses no queued request, and back."""
    spec = parse_model(ServingSpec, SPEC, source="test")
    spec = spec.model_copy(update={"gateway": spec.gateway.model_copy(update={"port": free_port()})})
    said: list[str] = []
    evidence = Evidence()

    await prove(spec, installed_engine, folder=tmp_path, seed=0, say=said.append, evidence=evidence)

    assert evidence.verdict().passed, "\n".join(said)
