"""Loads of a proof: started and stopped independently, all on the fleet's clock."""

import asyncio
from dataclasses import dataclass, field

from flyball.bench import LoadSettings, run_load
from flyball.measurement import RequestRecord
from flyball.prove.verdict import LoadRun, PhaseName
from flyball.spec import Arrivals, Lengths, WorkloadShape
from flyball.workload import Workload


@dataclass(slots=True, eq=False)
class RunningLoad:
    """A load under way. `records` fills as requests end, by request index."""

    name: str
    phase: PhaseName
    workload: Workload
    start_s: float
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    records: dict[int, RequestRecord] = field(default_factory=dict)
    task: "asyncio.Task[list[RequestRecord]] | None" = None

    @property
    def intended_s(self) -> list[float]:
        """When each request of an open loop is due, on the fleet's clock."""
        return [self.start_s + (request.arrival_s or 0.0) for request in self.workload]

    async def finish(self) -> None:
        """Wait for every request under way. A stopped load sends nothing more."""
        assert self.task is not None
        await self.task

    def so_far(self, end_s: float) -> LoadRun:
        """The load up to `end_s`, as it stands."""
        arrivals = self.workload.shape.arrivals
        return LoadRun(
            name=self.name,
            phase=self.phase,
            rate=arrivals.mean_rate,
            concurrency=arrivals.closed_loop,
            start_s=self.start_s,
            end_s=end_s,
            records=tuple(self.records[index] for index in sorted(self.records)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadGenerator:
    """Starts loads against one URL. `origin` is the fleet's `time.perf_counter()` zero."""

    url: str
    model: str
    shape: WorkloadShape
    seed: int
    origin: float
    settings: LoadSettings

    def start(
        self,
        name: str,
        phase: PhaseName,
        arrivals: Arrivals,
        *,
        now_s: float,
        duration_s: float | None = None,
        count: int | None = None,
        output_tokens: Lengths | None = None,
        seed_offset: int = 0,
    ) -> RunningLoad:
        """Begin to send at `now_s`, for `duration_s` seconds or `count` requests or until stopped."""
        shape = self.shape.model_copy(
            update={"arrivals": arrivals, "output_tokens": output_tokens or self.shape.output_tokens}
        )
        workload = Workload.generate(shape, seed=self.seed + seed_offset, duration_s=duration_s, count=count)
        load = RunningLoad(name=name, phase=phase, workload=workload, start_s=now_s)

        def ended(record: RequestRecord) -> None:
            load.records[record.index] = record

        load.task = asyncio.create_task(
            run_load(
                self.url,
                workload,
                model=self.model,
                settings=self.settings,
                origin=self.origin,
                start_s=now_s,
                stop=load.stop,
                on_record=ended,
            )
        )
        return load
