from pathlib import Path

import pytest

from fake_engine import fake_engine
from flyball.errors import UsageError
from flyball.prove import proof as proof_module
from flyball.prove.proof import prove, step_rate
from flyball.prove.run_folder import save
from flyball.prove.verdict import Evidence, Proof
from flyball.report import proof_page
from flyball.spec import ServingSpec, parse_model

SPEC = """
name: fake
model: {id: fake}
slo: {ttft: {p95: 800ms}, tpot: {p95: 100ms}}
workload: {arrivals: {poisson: 4}, peak: 24, prompt_tokens: {fixed: 8}, output_tokens: {fixed: 30}}
scaling: {min: 1, max: 3}
engine: {max_num_seqs: 4}
local: {sync_period: 500ms, behavior: {scale_down: {stabilization_window: 3s}}, kv_cache: 64Mi, drain_timeout: 20s}
prove: {baseline: 2s, hold: 3s, patience: 30s}
"""


def _spec(text: str = SPEC) -> ServingSpec:
    spec = parse_model(ServingSpec, text, source="test")
    return spec.model_copy(update={"gateway": spec.gateway.model_copy(update={"port": 0})})


async def _prove(spec: ServingSpec, folder: Path, said: list[str]) -> Proof:
    evidence = Evidence()
    engine = fake_engine(folder / "engine")
    await prove(spec, engine, folder=folder / "run", seed=0, say=said.append, evidence=evidence)
    return evidence.proof(spec, {"seed": "0"})


@pytest.mark.parametrize(
    ("changes", "expected", "rate"),
    [
        ("", 2, 1.1),                                                 # all slots: at most twice what half of them do
        ("", 4, 1.65),                                                # three replicas cannot carry it
        ("prove: {step: 1.8}", 4, 0.9),
        ("prove: {step: 1.8}\nworkload: {peak: 7}", 4, 7),
    ],
)  # fmt: skip
def test_the_step_is_beyond_what_fewer_replicas_hold(changes: str, expected: int, rate: float) -> None:
    """From a replica that completes 0.5 requests a second with half of its slots; what the spec says stands above."""
    spec = parse_model(ServingSpec, f"model: {{id: org/model}}\n{changes}", source="test")

    assert step_rate(spec, 0.5, slots_per_aim=2, expected=expected) == rate


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof_module, "CAPACITY_S", 3.0)
    monkeypatch.setattr(proof_module, "SAMPLE_PERIOD_S", 0.25)
    monkeypatch.setattr(proof_module, "STREAM_TOKENS", 400)  # 4 s here, so that samples see them while replicas drain
    monkeypatch.setenv("FAKE_START_S", "2")  # help takes its time, so that what one replica cannot hold is seen


@pytest.mark.envoy
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("_quick")
async def test_a_fleet_that_works_is_proven(tmp_path: Path) -> None:
    """With replicas of a fixed speed every criterion holds, and the run folder has everything to read it again."""
    said: list[str] = []
    proof = await _prove(_spec(), tmp_path, said)
    save(proof, tmp_path / "run")

    assert [criterion.number for criterion in proof.verdict.criteria] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert proof.verdict.passed, "\n".join(said)
    assert {"verdict.json", "spec.json", "samples.jsonl", "decisions.jsonl"} <= {
        file.name for file in (tmp_path / "run").iterdir()
    }
    assert "<svg" in proof_page(proof)


@pytest.mark.envoy
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("_quick")
async def test_an_objective_out_of_reach_fails_the_proof(tmp_path: Path) -> None:
    """The verdict says no, with the measured numbers; the run ends in order."""
    text = SPEC.replace("p95: 800ms", "p95: 1ms").replace("patience: 30s", "patience: 5s")
    proof = await _prove(_spec(text), tmp_path, [])

    failed = [criterion.number for criterion in proof.verdict.criteria if not criterion.passed]
    assert 2 in failed
    assert 5 in failed
    assert not proof.verdict.passed
    assert proof.verdict.criteria[-1].passed  # nothing is left, whatever the verdict


async def test_a_fleet_that_may_not_grow_cannot_be_proven(tmp_path: Path) -> None:
    """With max = min there is nothing to prove, and that is said before anything starts."""
    with pytest.raises(UsageError, match="nothing would scale"):
        await _prove(_spec(SPEC.replace("max: 3", "max: 1")), tmp_path, [])
