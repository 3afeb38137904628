"""Loads against one started server: each ends as soon as the sequential test knows, or does not count at all."""

import asyncio
import itertools
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp

from flyball.bench import LoadSettings, run_load
from flyball.bench.benchmark import LATE_CLIENT_S
from flyball.errors import OutsideError
from flyball.measurement import (
    Distribution,
    EngineSnapshot,
    RequestRecord,
    Summary,
    objective_results,
    parse_exposition,
    percentile,
    records_to_json,
)
from flyball.spec import SLO, TuneSpec, WorkloadShape
from flyball.tune.contention import Waiting, waited_share
from flyball.tune.sequential import HOLDS_FOR, ObjectiveTest
from flyball.tune.target import Started
from flyball.tune.trial import Probe
from flyball.workload import Recordings, Workload, at_rate, warm_up

WARM_UP = 6
"""Requests before the first load: compilation, caches, connections."""
MOST_LATE = 3
"""Loads in a row that may be thrown away because the client was late, before the trial is given up."""
LATE_SHARE = 0.05
"""Of the tightest bound: a client that was less late than this did not decide over it."""
GO_ON = "free space, then go on with --resume and the run folder"
_EMPTY_S, _POLL_S, _SCRAPE_S = 20.0, 0.2, 3.0

Say = Callable[[str], None]


class ClientTooSlowError(Exception):
    """The load generator could not keep its schedule at this rate, several times in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """What all loads of a session have in common."""

    shape: WorkloadShape
    recordings: Recordings
    slo: SLO
    limits: TuneSpec
    seed: int
    mean_output_tokens: float
    settings: LoadSettings

    def workload(self, rate: float, round_: int) -> Workload:
        """The same requests at every rate of a round, closer together: rates differ by nothing else."""
        shape = self.shape.model_copy(update={"arrivals": at_rate(self.shape.arrivals, rate)})
        count = math.ceil(rate * self.settled_s * (1 + 2 * HOLDS_FOR) + 1.5 * self.limits.requests)
        return Workload.generate(shape, seed=self.seed + 1000 * round_, count=count, recordings=self.recordings)

    @property
    def settled_s(self) -> float:
        """How long a request may stay within the objective: by then the engine is as full as it gets."""
        bounds = self.slo.request_bounds()
        parts = bounds.get("ttft", 0.0) + bounds.get("tpot", 0.0) * self.mean_output_tokens
        return min(bounds.get("e2e", math.inf), parts or math.inf)

    @property
    def late_s(self) -> float:
        """The schedule lag at p99 from which on a load is the client's."""
        bounds = self.slo.request_bounds()
        tightest = min((bounds[name] for name in ("ttft", "e2e") if name in bounds), default=0.0)
        return max(LATE_CLIENT_S, LATE_SHARE * tightest)


def seen(records: Sequence[RequestRecord], plan: LoadPlan) -> dict[str, Any]:
    """What a load showed, as a `Probe` holds it; of requests that found the engine as full as it gets."""
    settled = [each for each in records if each.intended_s >= plan.settled_s and each.outcome != "cancelled"]
    summary = Summary.of(settled, plan.slo)
    results = {f"{each.metric} p{each.percentile}": each for each in objective_results(summary, plan.slo)}
    return {
        "attainment": summary.attainment,
        "measured_s": {name: each.to_dict()["measured_s"] for name, each in results.items()},
        "missed": tuple(name for name, each in results.items() if not each.holds),
        "at_once": most_at_once(records),
    }


def most_at_once(records: Sequence[RequestRecord]) -> int:
    """Requests that had been sent and not answered, at the moment when they were the most."""
    changes = [
        (at, by) for each in records if each.sent_s is not None for at, by in ((each.sent_s, 1), (each.end_s, -1))
    ]
    return max(itertools.accumulate(by for _, by in sorted(changes)), default=0)


@dataclass(slots=True, kw_only=True)
class Measurer:
    """One started server under loads; `folder` is the trial's."""

    started: Started
    plan: LoadPlan
    folder: Path
    session: aiohttp.ClientSession
    say: Say
    show: Say = lambda _: None
    """What is going on, while it is."""
    shares_processors: bool = False
    """Whether the engine computes on this machine's processors, which other programs may want too."""
    loads: int = 0

    async def warm_up(self) -> None:
        """Raises OutsideError if nothing is answered."""
        workload = warm_up(self.plan.workload(1.0, 0), WARM_UP)
        records = await run_load(
            self.started.url, workload, model=self.started.model, settings=replace(self.plan.settings, grace_s=None)
        )
        if all(record.failed for record in records):
            raise OutsideError(
                f"{self.started.url} is healthy and answers no request: {records[0].error}",
                fix="ask it by hand; check the model's name and the API key",
            )

    async def probe(self, rate: float, round_: int) -> tuple[Probe, list[RequestRecord]]:
        """Whether the objective holds at `rate`. Raises ClientTooSlowError."""
        for thrown_away in range(MOST_LATE):
            before = await self._preemptions()
            began, waiting = time.perf_counter(), Waiting.now() if self.shares_processors else None
            records, test = await self._load(rate, round_)
            seconds = time.perf_counter() - began
            waited = None if waiting is None else self._waited(waiting)
            lag_s = Distribution.of([each.schedule_lag_s for each in records if each.schedule_lag_s is not None]).p99_s
            late = lag_s is not None and lag_s > self.plan.late_s
            name = self._save(records, late=late)
            after = await self._preemptions()
            await self._until_empty()
            if not late:
                probe = Probe(
                    round=round_,
                    rate=rate,
                    verdict=test.verdict or test.leaning,
                    requests=test.judged,
                    preemptions=None if before is None or after is None else max(0, round(after - before)),
                    thrown_away=thrown_away,
                    seconds=seconds,
                    waited=waited,
                    records=name,
                    **seen(records, self.plan),
                )
                return probe, records
            assert lag_s is not None
            self.say(f"    {rate:.3g}/s: thrown away, the client itself was {lag_s * 1000:.0f} ms late at p99")
        raise ClientTooSlowError(f"the client was late {MOST_LATE} times at {rate:.3g} requests/s")

    async def e2e_p95(self, rate: float) -> float:
        """Seconds, over a whole load at one rate, as a load generator without a stop would see it."""
        records = await run_load(
            self.started.url,
            replace(self.plan.workload(rate, 0), count=self.plan.limits.requests),
            model=self.started.model,
            settings=replace(self.plan.settings, grace_s=None),
        )
        self._save(records, late=False)
        return percentile([math.inf if each.e2e_s is None else each.e2e_s for each in records], 95)

    async def _load(self, rate: float, round_: int) -> tuple[list[RequestRecord], ObjectiveTest]:
        test = ObjectiveTest(slo=self.plan.slo, settled_s=self.plan.settled_s, most=self.plan.limits.requests)
        stop, origin = asyncio.Event(), time.perf_counter()

        def ended(record: RequestRecord) -> None:
            test.add(record)
            seconds = time.perf_counter() - origin
            self.show(f"{rate:.3g}/s for {seconds:.0f} s: {test.judged} of at most {test.most} requests judged")
            if test.verdict is not None:
                stop.set()

        records = await run_load(
            self.started.url, self.plan.workload(rate, round_), model=self.started.model, settings=self.plan.settings,
            origin=origin, start_s=0.0, stop=stop, on_record=ended,
        )  # fmt: skip
        return records, test

    def _save(self, records: Sequence[RequestRecord], *, late: bool) -> str:
        self.loads += 1
        name = f"records-{self.loads:02d}{'-late' if late else ''}.jsonl"
        try:
            (self.folder / name).write_text(records_to_json(records), encoding="utf-8")
        except OSError as error:
            raise OutsideError(f"cannot write to {self.folder}: {error.strerror}", fix=GO_ON) from error
        return name

    @staticmethod
    def _waited(since: Waiting) -> float:
        return waited_share(since, Waiting.now(), processors=os.cpu_count() or 1)

    async def _preemptions(self) -> float | None:
        snapshot = await self._snapshot()
        return None if snapshot is None else snapshot.preemptions_total

    async def _until_empty(self) -> None:
        """Until what was cancelled has left the engine."""
        deadline = time.perf_counter() + _EMPTY_S
        while time.perf_counter() < deadline:
            snapshot = await self._snapshot()
            if snapshot is None or not snapshot.in_system:
                return
            await asyncio.sleep(_POLL_S)

    async def _snapshot(self) -> EngineSnapshot | None:
        try:
            timeout = aiohttp.ClientTimeout(total=_SCRAPE_S)
            async with self.session.get(self.started.url.rstrip("/") + "/metrics", timeout=timeout) as response:
                if response.status != 200:
                    return None
                return EngineSnapshot.of(parse_exposition(await response.text()))
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            return None
