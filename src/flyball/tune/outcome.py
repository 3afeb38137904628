"""What a session came to: before, after, and the evidence. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flyball.spec import ServingSpec
from flyball.tune.choice import chosen
from flyball.tune.trial import Flags, Trial, label


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
    def improved(self) -> bool:
        """Whether there are other flags to write."""
        return bool(self.changes)

    @property
    def changes(self) -> Flags:
        """The chosen flags that the start did not have."""
        if self.chosen is None or self.start is None:
            return {}
        return {name: value for name, value in self.chosen.flags.items() if self.start.flags.get(name) != value}

    @property
    def evidence(self) -> str:
        """One line for the spec: what the chosen flags hold, against what, measured when and on what."""
        assert self.chosen is not None
        assert self.start is not None
        mine, first = self.chosen.estimate, self.start.estimate
        against = f", {label(self.start.flags)} held {first.rate:.3g}" if self.improved and first.rate else ""
        when = self.provenance.get("started", "")[:10]
        return (
            f"flyball tune {when}: holds {mine.rate:.3g} requests/s within the objective (± {mine.error:.0%}){against};"
            f" {len(self.trials)} trials, {self.provenance.get('target', '')}"
        )

    @property
    def sentence(self) -> str:
        """The end in words."""
        if not self.trials:
            return "no trial came to its end"
        if self.chosen is None:
            return "no set of flags that was tried holds the objective at any rate"
        mine = self.chosen.estimate
        held = f"{label(self.chosen.flags)} holds {mine.rate:.3g} requests/s within the objective"
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
