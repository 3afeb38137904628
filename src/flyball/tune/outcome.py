"""What a session came to: before, after, and the evidence. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from flyball.planning import Demand
from flyball.spec import MeasuredSpec, ServingSpec
from flyball.tune.choice import chosen
from flyball.tune.trial import CROWDED, Flags, Trial, label


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What the model, corrected by all trials, says of the chosen flags: (rate, requests per second that are good)."""

    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of a session, or where an interruption left it."""

    spec: ServingSpec
    trials: tuple[Trial, ...]
    ended: str
    starts: int
    elapsed_s: float
    dollars: float
    recipe: bool
    """Whether the usual recipe was run: it ends where it ends, however bad that is."""
    curves: Mapping[int, Curve]
    """By trial."""
    provenance: Mapping[str, str]
    demand: Demand
    accelerator: str | None
    """What the server has; None if it is not known."""
    run: str
    """The run folder's name."""

    @property
    def chosen(self) -> Trial | None:
        """None if no trial holds any rate."""
        if not self.recipe:
            return chosen(self.trials)
        last = self.trials[-1] if self.trials else None
        return last if last is not None and last.estimate.rate > 0 else None

    @property
    def start(self) -> Trial | None:
        return self.trials[0] if self.trials else None

    @property
    def shared(self) -> Flags:
        """What all trials have in common, where there are several."""
        if len(self.trials) < 2:
            return {}
        first, *others = (trial.flags for trial in self.trials)
        return {name: value for name, value in first.items() if all(each.get(name) == value for each in others)}

    def distinct(self, trial: Trial) -> str:
        """The flags of a trial, for people, less those that all trials share."""
        return label({name: value for name, value in trial.flags.items() if name not in self.shared} or trial.flags)

    @property
    def improved(self) -> bool:
        """Whether other flags than the start's are better."""
        return bool(self.changes)

    @property
    def unset(self) -> Flags:
        """The chosen flags that the spec does not have: what a record of them needs, changed or not."""
        if self.chosen is None:
            return {}
        given = {**self.spec.engine, "quantization": self.spec.model.quantization}
        return {name: value for name, value in self.chosen.flags.items() if given.get(name) != value}

    @property
    def record(self) -> MeasuredSpec | None:
        """For the spec; None where it is not known what it would hold for."""
        best = self.chosen
        if self.recipe or best is None or best.vllm is None or self.accelerator is None:
            return None
        flags = {**self.spec.engine, **best.flags}
        if self.spec.model.quantization is not None:
            flags.setdefault("quantization", self.spec.model.quantization)
        return MeasuredSpec(
            requests_per_s=float(f"{best.estimate.rate:.4g}"),
            error=round(min(best.estimate.error, 0.99), 3),
            accelerator=self.accelerator,
            vllm=best.vllm,
            model=self.spec.model.id,
            slo=self.spec.slo,
            prompt_tokens=round(self.demand.mean_prompt_tokens, 1),
            output_tokens=round(self.demand.mean_output_tokens, 1),
            tensor_parallel_size=int(flags.pop("tensor_parallel_size", 1)),
            flags=flags,
            date=date.fromisoformat(self.provenance["started"][:10]),
            run=self.run,
        )

    @property
    def changes(self) -> Flags:
        """The chosen flags that the start did not have."""
        if self.chosen is None or self.start is None:
            return {}
        return {name: value for name, value in self.chosen.flags.items() if self.start.flags.get(name) != value}

    @property
    def evidence(self) -> Mapping[str, str]:
        """A line for each of `unset`: what the chosen flags hold, against what, measured when and on what."""
        assert self.chosen is not None
        assert self.start is not None
        mine, first = self.chosen.estimate, self.start.estimate
        before = {name: self.start.flags[name] for name in self.changes if name in self.start.flags}
        against = f", {label(before)} held {first.rate:.3g}" if before and first.rate else ""
        when = self.provenance.get("started", "")[:10]
        better = (
            f"flyball tune {when}: holds {mine.rate:.3g} requests/s within the objective (± {mine.error:.0%}){against};"
            f" {len(self.trials)} trials, {self.provenance.get('target', '')}"
        )
        same = f"flyball tune {when}: as the engine started before; what was measured holds for it"
        return {name: better if name in self.changes else same for name in self.unset}

    @property
    def caution(self) -> str | None:
        """What makes the numbers doubtful."""
        most = max((trial.waited or 0.0 for trial in self.trials), default=0.0)
        if most < CROWDED:
            return None
        return (
            f"other programs were busy here: in a trial engine and client waited {most:.0%} of the processors' time for"
            " one; ± holds that, and a quiet machine would tell more"
        )

    @property
    def sentence(self) -> str:
        """The end in words."""
        if not self.trials:
            return "no trial came to its end"
        if self.chosen is None:
            return "no set of flags that was tried holds the objective at any rate"
        mine = self.chosen.estimate
        flags = label(self.changes or self.chosen.flags)
        held = f"with {flags} one replica holds {mine.rate:.3g} requests/s within the objective"
        if self.recipe or self.start is None or self.start is self.chosen:
            return held if self.recipe else f"the start stays: {held}, and nothing tried beats it beyond the noise"
        first = self.start.estimate
        more = f"{mine.gain_over(first):.0%} more than the start's {first.rate:.3g}" if first.rate else "the start none"
        return f"{held}, {more}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "chosen": None if self.chosen is None else {"trial": self.chosen.number, **summary(self.chosen)},
            "start": None if self.start is None else summary(self.start),
            "improved": self.improved,
            "ended": self.ended,
            "engine_starts": self.starts,
            "elapsed_s": round(self.elapsed_s, 1),
            "dollars": round(self.dollars, 2),
            "recipe": "decrement" if self.recipe else None,
            "trials": [trial.to_dict() for trial in self.trials],
            "provenance": dict(self.provenance),
        }


def summary(trial: Trial) -> dict[str, Any]:
    """A trial in a few numbers."""
    flags: Flags = trial.flags
    return {
        "flags": dict(flags),
        "rate": round(trial.estimate.rate, 4),
        "error": round(trial.estimate.error, 4),
        "goodput": round(trial.goodput, 4),
    }
