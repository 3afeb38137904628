"""Whole searches in virtual time, against engines whose truth is known."""

from pathlib import Path
from typing import Any

import pytest

from flyball.engine import StartFailure
from flyball.errors import UsageError
from flyball.perf import Efficiency
from flyball.spec import ServingSpec, parse_model
from flyball.tune import decrement
from flyball.tune.choice import chosen
from flyball.tune.journal import NAME, read_journal
from flyball.tune.prediction import Predictor
from flyball.tune.session import ModelGuided, Session
from flyball.tune.space import space
from flyball.tune.trial import Flags, key, trial_from_dict
from virtual_tuning import VirtualServer, predictor

SPEC = """
model: {id: meta-llama/Llama-3.1-8B}
slo: {ttft: {p95: 600ms}, tpot: {p95: 90ms}}
workload:
  arrivals: {poisson: 2}
  prompt_tokens: {lognormal: {mu: 5, sigma: 0.5}}
  output_tokens: {lognormal: {mu: 3, sigma: 0.5}}
tune:
  requests: 60
  restarts: 4
  flags: {max_num_seqs: {min: 2, max: 64}, max_num_batched_tokens: {values: [2048]}}
"""
FIXED: dict[str, Any] = {"max_model_len": 2048, "gpu_memory_utilization": 0.92}
START: Flags = {"max_num_seqs": 4, "max_num_batched_tokens": 2048}
SLOWER = Efficiency(compute=0.45, memory=0.7, step_s_per_layer=6e-5, request_s=2e-3)
FASTER = Efficiency(compute=0.8, memory=0.9, step_s_per_layer=2e-5)


def _spec(text: str = SPEC) -> ServingSpec:
    return parse_model(ServingSpec, text, source="spec")


def _server(truth: Efficiency = SLOWER, **more: object) -> VirtualServer:
    spec = _spec()
    return VirtualServer(truth=predictor(spec, efficiency=truth, error=0.1, **FIXED), spec=spec, **more)  # type: ignore[arg-type]


def _model(error: float = 0.35) -> Predictor:
    return predictor(_spec(), efficiency=Efficiency(), error=error, **FIXED)


def _guided(folder: Path, model: Predictor | None, start: Flags = START) -> ModelGuided:
    spec = _spec()
    candidates = space(spec.tune.flags, start, device="cuda")
    return ModelGuided(candidates=candidates, predictor=model, rate=2.0, limits=spec.tune, folder=folder)


async def _search(server: VirtualServer, folder: Path, model: Predictor | None, start: Flags = START) -> Session:
    session = server.session(folder)
    await session.run(_guided(folder, model, start))
    return session


def _winner(session: Session) -> Flags:
    found = chosen(session.trials)
    assert found is not None
    return found.flags


@pytest.mark.parametrize("truth", [SLOWER, FASTER])
@pytest.mark.long
async def test_the_best_is_found_in_four_starts(tmp_path: Path, truth: Efficiency) -> None:
    """On an engine slower or faster than the model thinks: within 5 % of the best of all, and it says why it ends."""
    server = _server(truth)
    session = await _search(server, tmp_path, _model())
    best = max(server.true_rate(flags) for flags in space(_spec().tune.flags, START, device="cuda")[2:])
    assert server.true_rate(_winner(session)) >= 0.95 * best
    assert len(server.starts) <= 4
    assert session.ended
    assert not server.running


@pytest.mark.long
async def test_a_model_that_is_wrong_is_dropped(tmp_path: Path) -> None:
    """One that is sure of rates twice too high: after the first miss the search goes on without it, and ends better."""
    server = _server(SLOWER)
    session = await _search(server, tmp_path, _model(error=0.02))
    assert any("refuted" in trial.why for trial in session.trials) or "refuted" in session.ended
    assert server.true_rate(_winner(session)) > server.true_rate(START)


@pytest.mark.long
async def test_without_a_model_it_still_climbs(tmp_path: Path) -> None:
    """Golden section and bisection alone beat the start."""
    server = _server()
    session = await _search(server, tmp_path, None)
    assert server.true_rate(_winner(session)) > 4 * server.true_rate(START)


@pytest.mark.long
async def test_flags_that_do_not_start_are_a_refusal_in_the_engines_words(tmp_path: Path) -> None:
    """And larger ones are not tried after them; the end is still better than the start."""
    oom = StartFailure(cause="the GPU's memory does not suffice", evidence="torch.OutOfMemoryError: CUDA out", fix="")
    server = _server(fails={64: oom, 32: oom})
    session = await _search(server, tmp_path, _model())
    refused = [trial for trial in session.trials if trial.refusal is not None]
    assert refused
    assert refused[0].refusal is not None
    assert (refused[0].refusal.kind, refused[0].refusal.evidence) == ("start", oom.evidence)
    tried = [int(flags["max_num_seqs"]) for flags in server.starts]
    assert len([value for value in tried if value >= 32]) <= 2
    assert _winner(session)["max_num_seqs"] in (8, 16)


@pytest.mark.long
async def test_an_interrupted_search_goes_on(tmp_path: Path) -> None:
    """With the trials that ended; the interrupted one is repeated and its start counts; the end is the same."""
    whole = await _search(_server(), _made(tmp_path / "whole"), None)
    folder = _made(tmp_path / "torn")
    server = _server(interrupt_at_load=len(whole.trials[0].probes) + 2)
    first = server.session(folder)
    with pytest.raises(KeyboardInterrupt):
        await first.run(_guided(folder, None))
    assert not server.running
    past = read_journal(folder)
    assert len(past.trials) == 1
    assert past.starts == 2

    again = _server()
    second = again.session(folder)
    second.resume(past)
    await second.run(_guided(folder, None))
    assert key(second.trials[1].flags) == key(whole.trials[1].flags)
    assert len(second.trials) + 1 <= second.starts <= _spec().tune.restarts
    assert again.starts[0] == whole.trials[1].flags


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def test_a_torn_journal_is_read(tmp_path: Path) -> None:
    """Cut at any byte it yields the trials before the cut, and goes on on a line of its own."""
    session = await _search(_server(), tmp_path, None)
    whole = (tmp_path / NAME).read_bytes()
    for cut in range(0, len(whole), 97):
        (tmp_path / NAME).write_bytes(whole[:cut])
        past = read_journal(tmp_path)
        assert past.trials == tuple(session.trials[: len(past.trials)])
        session.journal.ended(session.trials[0])
        assert session.trials[0] in read_journal(tmp_path).trials


def test_other_files_are_refused(tmp_path: Path) -> None:
    """A folder without a journal, and a journal of another version, in one line."""
    with pytest.raises(UsageError, match="no folder of flyball tune"):
        read_journal(tmp_path)
    (tmp_path / NAME).write_text('{"event": "trial", "number": 0}\n')
    with pytest.raises(UsageError, match="another version"):
        read_journal(tmp_path)


async def test_trials_survive_their_journal(tmp_path: Path) -> None:
    """Every field, refusals and predictions among them."""
    oom = StartFailure(cause="out of memory", evidence="CUDA", fix="")
    session = await _search(_server(fails={64: oom}), tmp_path, None)
    assert read_journal(tmp_path).trials == tuple(session.trials)
    assert [trial_from_dict(trial.to_dict()) for trial in session.trials] == session.trials


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ("restarts: 2", "2 engine starts"),
        ("time: 90s", "budget of 2 minutes"),
        ("dollars: 0.05, usd_per_hour: 3", "budget of $0.05"),
    ],
)
async def test_budgets_end_it(tmp_path: Path, limits: str, said: str) -> None:
    """Starts, time and money; each is looked at before a start."""
    server = _server()
    server.spec = _spec(SPEC.replace("restarts: 4", limits.replace(", ", "\n  ")))
    session = await _search(server, tmp_path, None)
    assert said in session.ended
    assert len(server.starts) <= 2


async def test_the_recipe_only_moves_the_wait(tmp_path: Path) -> None:
    """32 fewer each time: more starts than the search, and an end that holds less."""
    server = _server()
    session = server.session(tmp_path)
    session.limits = session.limits.model_copy(update={"restarts": 20})
    session.recipe_is_content = decrement.is_content
    start: Flags = {"max_num_seqs": 160, "max_num_batched_tokens": 2048}
    await session.run(decrement.Decrement(start=start, rate=4.0))
    values = [trial.flags["max_num_seqs"] for trial in session.trials]
    assert values == [160, 128, 96, 64, 32][: len(values)]
    assert all(trial.e2e_p95_s is not None for trial in session.trials)
    assert session.trials[-1].estimate.rate > 0
    assert not any(trial.probes for trial in session.trials[:-1])
