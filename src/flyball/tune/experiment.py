"""One trial: start the engine, search the rate that it holds, repeat where chance could turn the order, stop it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from flyball.engine import StartFailure
from flyball.errors import OutsideError
from flyball.measurement import RequestRecord
from flyball.spec import TuneSpec
from flyball.tune.choice import needs_repeat
from flyball.tune.measuring import GO_ON, ClientTooSlowError, Say
from flyball.tune.proposal import Proposal
from flyball.tune.rate_search import Estimate, Tried, bracket, next_rate
from flyball.tune.target import Started, Target
from flyball.tune.trial import HEAVY_PREEMPTION, Flags, Probe, Refusal, Trial

HOPELESS, COARSE = 0.85, 3.0
"""A trial that misses at this share of the best rate is measured so many times more coarsely."""


class Prober(Protocol):
    """Loads one started server."""

    async def warm_up(self) -> None: ...

    async def probe(self, rate: float, round_: int) -> tuple[Probe, list[RequestRecord]]: ...

    async def e2e_p95(self, rate: float) -> float:
        """Seconds, of a whole load at one rate; infinite where failures reach down to it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Where trials take place."""

    target: Target
    prober: Callable[[Started, Path], Prober]
    """For a server and the folder that its records go to."""
    say: Say
    show: Say = lambda _: None
    """What is going on, while it is."""
    clock: Callable[[], float] = time.perf_counter


@dataclass(slots=True, kw_only=True)
class Experiment:
    """`records` holds, by probe, what was measured, for the correction of the model."""

    bench: Bench
    number: int
    proposal: Proposal
    limits: TuneSpec
    folder: Path
    best: Estimate | None
    """Of the trials before."""
    recipe_is_content: Callable[[Flags, float], bool] | None = None
    """For the usual recipe: whether it ends with these flags and this p95; only then is the rate searched."""
    e2e_p95_s: float | None = None
    vllm: str | None = None
    records: list[tuple[Probe, list[RequestRecord]]] = field(default_factory=list)

    async def run(self) -> Trial:
        """The server is stopped at the end, whatever the end is."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutsideError(f"cannot make {self.folder}: {error.strerror}", fix=GO_ON) from error
        began = self.bench.clock()
        refusal: Refusal | None
        try:
            self.bench.show("starting the engine")
            started = await self.bench.target.start(self.proposal.flags, log=self.folder / "engine.log")
            if isinstance(started, StartFailure):
                self.bench.say(
                    f"    does not start: {started.cause}" + (f"\n    {started.evidence}" if started.evidence else "")
                )
                refusal = Refusal(kind="start", cause=started.cause, evidence=started.evidence)
                return self._trial(self.bench.clock() - began, self.bench.clock() - began, refusal)
            self.vllm = started.vllm
            refusal = await self._measure(started)
        finally:
            await self.bench.target.stop()
        trial = self._trial(started.seconds, self.bench.clock() - began, refusal)
        self._tell(trial)
        return trial

    def _trial(self, start_s: float, seconds: float, refusal: Refusal | None) -> Trial:
        return Trial(
            number=self.number,
            flags=self.proposal.flags,
            why=self.proposal.why,
            expected=self.proposal.expected,
            start_s=start_s,
            seconds=seconds,
            probes=tuple(probe for probe, _ in self.records),
            refusal=refusal,
            vllm=self.vllm,
            e2e_p95_s=self.e2e_p95_s,
        )

    async def _measure(self, started: Started) -> Refusal | None:
        prober = self.bench.prober(started, self.folder)
        self.bench.say(f"    ready after {started.seconds:.0f} s")
        self.bench.show("warming up")
        await prober.warm_up()
        if self.recipe_is_content is not None:
            self.e2e_p95_s = await prober.e2e_p95(self.proposal.guess)
            self.bench.say(f"    {self.proposal.guess:.3g}/s: E2E p95 {self.e2e_p95_s * 1000:,.0f} ms")
            if not self.recipe_is_content(self.proposal.flags, self.e2e_p95_s):
                return None
        try:
            estimate = await self._search(prober, self.proposal.guess)
            while needs_repeat(estimate, self.best):
                self.bench.say(f"    {estimate.rate:.3g}/s is too near the best so far for one search: again")
                estimate = await self._search(prober, estimate.rate)
        except ClientTooSlowError as error:
            return Refusal(kind="client", cause=str(error))
        if estimate.rate == 0:
            lowest = min(probe.rate for probe, _ in self.records)
            return Refusal(kind="nothing holds", cause=f"the objective is missed even at {lowest:.3g} requests/s")
        return self._preempting()

    async def _search(self, prober: Prober, guess: float) -> Estimate:
        """One more round; the estimate is over all of them."""
        round_ = max((probe.round for probe, _ in self.records), default=-1) + 1
        tried: list[Tried] = []
        while (rate := next_rate(tried, guess=guess, resolution=self._resolution(tried))) is not None:
            probe, records = await prober.probe(rate, round_)
            self.records.append((probe, records))
            tried.append(Tried(rate=rate, held=probe.verdict == "held"))
            self.bench.say(f"    {probe} ({probe.seconds:.0f} s)")
        return self._trial(0.0, 0.0, None).estimate

    def _resolution(self, tried: Sequence[Tried]) -> float:
        found = bracket(tried)
        hopeless = self.best is not None and found.high < HOPELESS * self.best.rate
        return self.limits.resolution * (COARSE if hopeless else 1.0)

    def _preempting(self) -> Refusal | None:
        """At the highest rate that holds: beyond it, a full cache is no wonder."""
        found = max((p for p, _ in self.records if p.verdict == "held"), key=lambda probe: probe.rate)
        if found.preemptions is None or found.preemptions <= HEAVY_PREEMPTION * found.requests:
            return None
        return Refusal(
            kind="preemption",
            cause=f"{found.preemptions} preemptions in a load of {found.requests} requests at {found.rate:.3g}/s: the "
            "KV cache is too small for so many sequences",
            evidence=f"vllm:num_preemptions_total rose by {found.preemptions}",
        )

    def _tell(self, trial: Trial) -> None:
        if trial.refusal is not None:
            self.bench.say(f"    refused: {trial.refusal.cause}")
        elif trial.probes:
            error = trial.estimate.error
            self.bench.say(
                f"    holds {trial.estimate.rate:.3g} requests/s (± {error:.1%}), goodput {trial.goodput:.3g}"
            )
