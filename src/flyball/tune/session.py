"""The loop of `flyball tune`: propose, try, learn, until nothing more is worth a restart."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flyball.errors import OutsideError
from flyball.measurement import RequestRecord, records_from_json
from flyball.perf import MeasuredLoad
from flyball.perf.measured_formats import measured_load
from flyball.spec import TuneSpec
from flyball.tune.choice import best
from flyball.tune.experiment import Bench, Experiment
from flyball.tune.journal import Journal, Past
from flyball.tune.outcome import Curve
from flyball.tune.prediction import Predictor, Unfit, attainment
from flyball.tune.proposal import Finished, Proposal, propose, start_proposal
from flyball.tune.trial import Flags, Trial, label

CURVE_POINTS = 12
Proposer = Callable[[Sequence[Trial]], Proposal | Finished]
"""What decides about the next trial."""


@dataclass(kw_only=True)
class Session:
    """One search. `trials` grows; after an interruption it holds those that ended."""

    bench: Bench
    journal: Journal
    folder: Path
    limits: TuneSpec
    starts: int = 0
    elapsed_s: float = 0.0
    trials: list[Trial] = field(default_factory=list)
    recipe_is_content: Callable[[Flags, float], bool] | None = None
    """As `Experiment` takes it."""
    ended: str = ""
    """Why the search ended."""

    def resume(self, past: Past) -> None:
        """Go on after these."""
        self.trials = list(past.trials)
        self.starts, self.elapsed_s = past.starts, past.elapsed_s

    async def run(self, proposer: Proposer) -> None:
        """Until the proposer or the budget ends it."""
        while True:
            spent = self.overspent()
            step = Finished(why=spent) if spent else await asyncio.to_thread(proposer, tuple(self.trials))
            if isinstance(step, Finished):
                self.ended = step.why
                self.bench.say(f"done: {step.why}")
                return
            await self._try(step)

    async def _try(self, proposal: Proposal) -> None:
        number = len(self.trials)
        self.bench.say(f"trial {number}: {label(proposal.flags)}\n    {proposal.why}")
        self.journal.starting(number, proposal.flags)
        self.starts += 1
        leader = best(self.trials)
        experiment = Experiment(
            bench=self.bench,
            number=number,
            proposal=proposal,
            limits=self.limits,
            folder=trial_folder(self.folder, number),
            best=None if leader is None else leader.estimate,
            recipe_is_content=self.recipe_is_content,
        )
        trial = await experiment.run()
        self.journal.ended(trial)
        self.trials.append(trial)
        self.elapsed_s += trial.seconds
        if number == 0 and trial.refusal is not None and trial.refusal.kind == "client":
            raise OutsideError(
                f"nothing can be measured: {trial.refusal.cause}",
                fix="end what else runs here, or load the server from another machine with --url",
            )

    def overspent(self) -> str | None:
        """Which budget is used up."""
        limits = self.limits
        if self.starts >= limits.restarts:
            return f"the budget of {limits.restarts} engine starts is used up"
        if limits.time is not None and self.elapsed_s >= limits.time:
            return f"the budget of {limits.time / 60:.0f} minutes is used up"
        if limits.dollars is not None and self.dollars >= limits.dollars:
            return f"the budget of ${limits.dollars:,.2f} is used up"
        return None

    @property
    def dollars(self) -> float:
        return self.elapsed_s / 3600 * (self.limits.usd_per_hour or 0.0)


def trial_folder(folder: Path, number: int) -> Path:
    return folder / "trials" / f"{number:02d}"


@dataclass(kw_only=True)
class ModelGuided:
    """The proposer of `flyball tune`: corrects the model with every trial's loads, then asks it."""

    candidates: Sequence[Flags]
    predictor: Predictor | None
    """Before anything was measured; None is a search without a model."""
    rate: float
    """Of the spec's traffic: where the search begins without a better guess."""
    limits: TuneSpec
    folder: Path
    corrected: Predictor | None = None
    """After the trials so far."""

    def __call__(self, trials: Sequence[Trial]) -> Proposal | Finished:
        if not trials:
            return start_proposal(self.candidates[0], self.predictor, self.rate)
        if self.predictor is not None:
            loads = model_loads(trials, self.predictor, self.folder)
            self.corrected = self.predictor.recalibrated(loads, prior=max(self.predictor.error, 0.1))
        mean_s = sum(trial.seconds for trial in trials) / len(trials)
        worth = max(mean_s / self.limits.serves_for, self.limits.resolution)  # less could not be told from nothing
        return propose(self.candidates, trials, self.corrected, worth=worth)

    def curves(self, trials: Sequence[Trial]) -> dict[int, Curve]:
        """Goodput against rate of every trial, as the model sees it after all of them."""
        model = self.corrected or self.predictor
        if model is None or not trials:
            return {}
        return {trial.number: found for trial in trials if (found := curve(model, trial)) is not None}


def curve(model: Predictor, trial: Trial) -> Curve | None:
    """Up to a little beyond the highest rate that was tried."""
    load = model.load(trial.flags)
    if isinstance(load, Unfit) or not trial.probes:
        return None
    highest = 1.15 * max(probe.rate for probe in trial.probes)
    rates = [highest * step / CURVE_POINTS for step in range(1, CURVE_POINTS + 1)]
    return Curve(points=[(rate, rate * attainment(load, rate, model.slo)) for rate in rates])


def model_loads(trials: Sequence[Trial], predictor: Predictor, folder: Path) -> list[MeasuredLoad]:
    """The highest load that each trial held, and the lowest of the start: what tells most for what it takes to fit."""
    found = []
    for trial in trials:
        held = sorted((p for p in trial.probes if p.verdict == "held"), key=lambda probe: probe.rate)
        for probe in {p.records: p for p in (*held[-1:], *(held[:1] if trial.number == 0 else ()))}.values():
            path = trial_folder(folder, trial.number) / probe.records
            try:
                records = records_from_json(path.read_text(encoding="utf-8"), source=str(path))
            except OSError as error:
                raise OutsideError(
                    f"cannot read {path}: {error.strerror}", fix="start anew, without --resume"
                ) from error
            load = as_measured(f"trial {trial.number}, {probe.rate:.3g}/s", trial.flags, records, predictor)
            if load is not None:
                found.append(load)
    return found


def as_measured(
    name: str, flags: Mapping[str, object], records: Sequence[RequestRecord], predictor: Predictor
) -> MeasuredLoad | None:
    """The requests before the first that the client cancelled; None if they are few."""
    ordered = sorted(records, key=lambda record: record.index)
    end = next((i for i, record in enumerate(ordered) if record.outcome == "cancelled"), len(ordered))
    rows = [row for record in ordered[:end] if (row := _row(record)) is not None]
    if len(rows) < 10:
        return None
    return measured_load(name, predictor.engine(flags), rows, None)  # type: ignore[arg-type]


def _row(record: RequestRecord) -> tuple[float, float, float, int, int] | None:
    ttft_s, e2e_s, sent_s = record.ttft_from_send_s, record.e2e_from_send_s, record.sent_s
    if ttft_s is None or e2e_s is None or sent_s is None or not record.prompt_tokens or not record.output_tokens:
        return None
    return sent_s, ttft_s, e2e_s, record.prompt_tokens, record.output_tokens
