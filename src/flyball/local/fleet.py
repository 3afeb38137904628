"""The replicas of one service on this machine: kept at the desired number, replaced when they die, drained to leave.

A member is what a pod is on Kubernetes: it keeps its name and its cores while its engine is restarted within it.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from flyball.engine import Replica
from flyball.errors import FlyballError, OutsideError
from flyball.gateway import Gateway
from flyball.local.timeline import EventKind, FleetEvent, ReplicaSample, ReplicaState, Timeline
from flyball.measurement import EngineSnapshot, parse_exposition
from flyball.scaling import PodStatus

BACKOFF_FIRST_S = 1.0
BACKOFF_MOST_S = 60.0
BACKOFF_RESET_S = 120.0  # an engine that was ready this long starts its next backoff from the beginning

Launch = Callable[[str, int], Replica]
"""(name, slot) to a replica that has not been started. The slot, counted from 0, decides its cores."""


@dataclass(slots=True, eq=False)
class Member:
    """One place in the fleet and the engine in it."""

    name: str
    slot: int
    state: ReplicaState = "starting"
    replica: Replica | None = None
    ready_t_s: float = 0.0
    leaving: bool = False
    first_start: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    task: asyncio.Task[None] | None = None


class Fleet:
    """Replicas behind a gateway. `origin` is the `time.perf_counter()` from which all times count."""

    def __init__(
        self,
        *,
        launch: Launch,
        gateway: Gateway,
        timeline: Timeline,
        origin: float,
        start_timeout_s: float,
        propagation_s: float = 1.0,
    ) -> None:
        self.timeline = timeline
        self.gateway = gateway
        self.desired = 0
        self.members: list[Member] = []
        self._launch = launch
        self.origin = origin
        self._start_timeout_s = start_timeout_s
        # Between leaving the endpoints and SIGTERM, so that no request is on its way; a preStop sleep on Kubernetes.
        self._propagation_s = propagation_s
        self._names = 0
        self._departures: set[asyncio.Task[None]] = set()
        self._gateway_watch: asyncio.Task[None] | None = None

    @property
    def now_s(self) -> float:
        return time.perf_counter() - self.origin

    async def start(self, replicas: int) -> None:
        """Start the gateway and `replicas` engines, and wait until all are ready and the gateway serves.

        Raises OutsideError with the cause as soon as one cannot start.
        """
        await self.gateway.start()
        self._gateway_watch = asyncio.create_task(self._keep_gateway())
        self.scale(replicas)
        await asyncio.gather(*(member.first_start for member in self.members))
        await self.gateway.until_serving()

    def scale(self, desired: int) -> None:
        """Bring the number of replicas to `desired`; returns at once."""
        staying = [member for member in self.members if not member.leaving]
        if desired != self.desired:
            self.note("scale", f"replicas {self.desired} → {desired}")
        self.desired = desired
        for _ in range(desired - len(staying)):
            self._add()
        # The order of Kubernetes' ReplicaSet controller: those not ready first, then the youngest.
        victims = sorted(staying, key=lambda member: (member.state == "ready", -member.ready_t_s))
        for member in victims[: max(0, len(staying) - desired)]:
            self._spawn_departure(member)

    def kill(self, name: str) -> None:
        """SIGKILL to one replica's server, as a machine that goes away would."""
        member = next(member for member in self.members if member.name == name)
        if member.replica is not None:
            self.note("killed", f"{name} got SIGKILL", name)
            member.replica.kill()

    async def close(self) -> None:
        """Admit nothing new, let every running stream finish, stop everything."""
        self.note("stop", "draining")
        for member in list(self.members):
            if not member.leaving:
                self._spawn_departure(member)
        await asyncio.gather(*self._departures, return_exceptions=True)
        if self._gateway_watch is not None:
            self._gateway_watch.cancel()
        await self.gateway.stop(grace_s=5.0)

    async def abandon(self) -> None:
        """Do nothing more; for when the processes are about to be killed."""
        tasks = [member.task for member in self.members if member.task is not None]
        tasks += [*self._departures, *([self._gateway_watch] if self._gateway_watch is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def sample(self) -> tuple[ReplicaSample, ...]:
        """Ask every ready or draining engine for its figures."""
        return tuple(await asyncio.gather(*(_sample(member) for member in self.members)))

    def pods(self) -> tuple[PodStatus, ...]:
        """The members as the HPA law sees pods."""
        return tuple(
            PodStatus(name=member.name, phase="Running", ready=member.state == "ready", deleting=member.leaving)
            for member in self.members
        )

    def note(self, kind: EventKind, text: str, replica: str | None = None) -> None:
        self.timeline.add_event(FleetEvent(t_s=self.now_s, kind=kind, text=text, replica=replica))

    def _add(self) -> None:
        taken = {member.slot for member in self.members}
        slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)
        self._names += 1
        member = Member(name=f"r{self._names}", slot=slot)
        self.members.append(member)
        member.task = asyncio.create_task(self._live(member))
        member.task.add_done_callback(lambda task: self._member_ended(member, task))

    async def _live(self, member: Member) -> None:
        """Start the member's engine, and again whenever it ends, until the member leaves."""
        backoff_s = BACKOFF_FIRST_S
        while not member.leaving:
            member.replica = self._launch(member.name, member.slot)
            was_ready_s = await self._run_once(member, member.replica)
            if member.leaving:
                break
            if was_ready_s >= BACKOFF_RESET_S:
                backoff_s = BACKOFF_FIRST_S
            member.state = "restarting"
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_MOST_S)
        self.members.remove(member)

    def _member_ended(self, member: Member, task: asyncio.Task[None]) -> None:
        """A member ends when it leaves; one that ends by an exception must not end in silence."""
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        self.members.remove(member)
        self.note("start-failed", f"{member.name}: {error}", member.name)
        if not member.first_start.done():
            member.first_start.set_exception(error)

    async def _run_once(self, member: Member, replica: Replica) -> float:
        """One life of the member's engine; returns for how many seconds it was ready."""
        member.state = "starting"
        began_s = self.now_s
        self.note("starting", f"{member.name} starting", member.name)
        try:
            await replica.start()
            failure = await replica.wait_ready(self._start_timeout_s)
        except FlyballError as error:
            return self._failed_to_start(member, error)
        if failure is not None:
            return self._failed_to_start(member, failure.error(member.name))
        if replica.state != "ready":  # it was told to stop before it had started
            return 0.0
        member.state = "draining" if member.leaving else "ready"
        member.ready_t_s = self.now_s
        self._publish()
        self.note("ready", f"{member.name} ready after {member.ready_t_s - began_s:.0f} s", member.name)
        if not member.first_start.done():
            member.first_start.set_result(None)
        await replica.wait_ended()
        ready_s = self.now_s - member.ready_t_s
        if not member.leaving:
            member.state = "restarting"
            self._publish()
            cause = f": {replica.failure.cause}" if replica.failure else ""
            self.note("crashed", f"{member.name} ended unexpectedly{cause}", member.name)
        return ready_s

    def _failed_to_start(self, member: Member, error: FlyballError) -> float:
        if not member.leaving:
            self.note("start-failed", error.what, member.name)
        if not member.first_start.done():
            member.first_start.set_exception(error)
            member.first_start.exception()  # retrieved: only the fleet's first start waits for it
        return 0.0

    async def _keep_gateway(self) -> None:
        """Start the gateway again whenever it ends; the streams that went through it are lost, the replicas are not."""
        backoff_s = BACKOFF_FIRST_S
        while True:
            code = await self.gateway.child.wait()
            self.note("gateway", f"the gateway ended unexpectedly ({_ending(code)})")
            try:
                await self.gateway.start()
            except FlyballError as error:
                self.note("gateway", f"the gateway does not start: {error.what}")
                await asyncio.sleep(backoff_s)
                backoff_s = min(2 * backoff_s, BACKOFF_MOST_S)
                continue
            self._publish()
            self.note("gateway", "the gateway serves again")

    def _spawn_departure(self, member: Member) -> None:
        was_ready = member.state == "ready"
        member.leaving = True
        if was_ready:
            member.state = "draining"
        self._publish()
        task = asyncio.create_task(self._depart(member, was_ready=was_ready))
        self._departures.add(task)
        task.add_done_callback(self._departures.discard)

    async def _depart(self, member: Member, *, was_ready: bool) -> None:
        """Out of the gateway, then SIGTERM: the engine finishes its streams. One that serves nothing is stopped."""
        if was_ready and member.replica is not None:
            self.note("drain", f"{member.name} draining", member.name)
            await asyncio.sleep(self._propagation_s)
            await member.replica.drain()
        elif member.replica is not None:
            await member.replica.stop()
        if not member.first_start.done():
            member.first_start.cancel()
        if member.task is not None:
            if member.state == "restarting":
                member.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await member.task
        if member in self.members:
            self.members.remove(member)
        member.state = "gone"
        self.note("drained", f"{member.name} gone", member.name)

    def _publish(self) -> None:
        """Tell the gateway who serves. A fleet that closes keeps nobody: new requests get 503."""
        ready = [member for member in self.members if member.state == "ready" and not member.leaving]
        with contextlib.suppress(OutsideError):
            self.gateway.set_endpoints([("127.0.0.1", member.replica.port) for member in ready if member.replica])


async def _sample(member: Member) -> ReplicaSample:
    if member.replica is None or member.state not in ("ready", "draining"):
        return ReplicaSample(name=member.name, state=member.state)
    text = await member.replica.scrape()
    if text is None:
        return ReplicaSample(name=member.name, state=member.state)
    snapshot = EngineSnapshot.of(parse_exposition(text))
    return ReplicaSample(
        name=member.name,
        state=member.state,
        running=snapshot.running,
        waiting=snapshot.waiting,
        kv_cache_usage=snapshot.kv_cache_usage,
        generation_tokens=snapshot.generation_tokens_total,
        ttft_sum_s=snapshot.ttft_sum_s,
        ttft_count=snapshot.ttft_count,
    )


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
