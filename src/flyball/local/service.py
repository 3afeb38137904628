"""A spec's fleet on this machine, assembled: engine, gateway, replicas and the loop that scales them."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aiohttp

from flyball.engine import (
    Engine,
    Machine,
    Replica,
    ReplicaCommand,
    ServedModel,
    replica_args,
    replica_command,
    replica_max_num_seqs,
    replica_memory,
    resolve_model,
    this_machine,
)
from flyball.errors import UsageError
from flyball.gateway import Gateway, GatewaySettings
from flyball.local.control import control
from flyball.local.fleet import Fleet
from flyball.local.policy import local_policy
from flyball.local.timeline import Timeline
from flyball.processes import Nursery, free_port
from flyball.scaling import ScalingPolicy
from flyball.spec import ServingSpec
from flyball.units import format_bytes

RESERVE_BYTES = 1 << 30  # for the gateway, flyball itself and the rest of the machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """What every replica of a spec has in common on this machine."""

    spec: ServingSpec
    engine: Engine
    machine: Machine
    model: ServedModel
    max_num_seqs: int
    memory_bytes: int

    @classmethod
    def of(cls, spec: ServingSpec, engine: Engine, machine: Machine) -> Self:
        """Raises UsageError for a model folder or a flag that this vLLM would not take."""
        model = resolve_model(spec.model.id, engine)
        args = replica_args(spec, engine=engine, model=model, machine=machine)
        return cls(
            spec=spec,
            engine=engine,
            machine=machine,
            model=model,
            max_num_seqs=replica_max_num_seqs(args, engine=engine, machine=machine),
            memory_bytes=replica_memory(args, engine=engine, model=model).total_bytes,
        )

    @property
    def served_name(self) -> str:
        """The model's name in requests."""
        return self.spec.model.served_name or self.spec.model.id

    def command(self, slot: int, port: int, scratch: Path) -> ReplicaCommand:
        """How the replica in `slot` is started; it leaves temporary files in `scratch`."""
        return replica_command(
            self.spec,
            engine=self.engine,
            model=self.model,
            machine=self.machine,
            index=slot,
            port=port,
            inherited={**os.environ, "TMPDIR": str(scratch)},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A fleet that serves."""

    spec: ServingSpec
    fleet: Fleet
    policy: ScalingPolicy
    blueprint: Blueprint
    nursery: Nursery
    control: asyncio.Task[None]
    api_key: str | None

    @property
    def url(self) -> str:
        return self.fleet.gateway.url

    @property
    def signal_target(self) -> float:
        """The scaling signal per replica that the law aims at."""
        return self.policy.metrics[0].target.milli / 1000


@contextlib.asynccontextmanager
async def serving(
    spec: ServingSpec,
    engine: Engine,
    *,
    folder: Path,
    timeline: Timeline,
    sample_period_s: float,
) -> AsyncIterator[Service]:
    """Start `scaling.min` replicas behind the gateway, wait until they are ready, and scale them until the block ends.

    Leaving the block normally drains; leaving it by an exception stops everything at once. Either way nothing is left.
    Raises UsageError for what cannot work (port taken, not enough memory), OutsideError when a start fails.
    """
    machine = this_machine()
    blueprint = Blueprint.of(spec, engine, machine)
    check_memory(spec, blueprint.memory_bytes, machine.memory_available_bytes)
    policy = local_policy(spec, blueprint.max_num_seqs)
    api_key = read_api_key(spec)
    origin = time.perf_counter()
    async with contextlib.aclosing(Nursery()) as nursery, aiohttp.ClientSession() as session:

        def launch(name: str, slot: int) -> Replica:
            command = blueprint.command(slot, free_port(), nursery.scratch)
            return Replica(
                name=name,
                port=int(command.args["port"]),
                argv=command.argv,
                env=command.env,
                log=folder / "logs" / f"{name}.log",
                drain_timeout_s=spec.local.drain_timeout,
                nursery=nursery,
                session=session,
            )

        fleet = Fleet(
            launch=launch,
            gateway=Gateway(GatewaySettings.of(spec.gateway, api_key=api_key), folder / "gateway", nursery),
            timeline=timeline,
            origin=origin,
            start_timeout_s=spec.local.start_timeout,
        )
        task: asyncio.Task[None] | None = None
        try:
            await fleet.start(spec.scaling.min)
            task = asyncio.create_task(control(fleet, policy, spec.scaling.signal, sample_period_s=sample_period_s))
            yield Service(
                spec=spec, fleet=fleet, policy=policy, blueprint=blueprint, nursery=nursery, control=task,
                api_key=api_key,
            )  # fmt: skip
            await _end(task)
            await fleet.close()
        finally:
            if task is not None:
                await _end(task)
            await fleet.abandon()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def check_memory(spec: ServingSpec, replica_bytes: int, available_bytes: int) -> None:
    """Refuse more replicas than memory holds, with the numbers."""
    usable = available_bytes - RESERVE_BYTES
    if spec.scaling.max * replica_bytes <= usable:
        return
    fitting = max(0, usable // replica_bytes)
    raise UsageError(
        f"scaling.max {spec.scaling.max} replicas of {format_bytes(replica_bytes)} each need "
        f"{format_bytes(spec.scaling.max * replica_bytes)}; {format_bytes(available_bytes)} of memory are available, "
        f"{format_bytes(RESERVE_BYTES)} of it kept for the rest",
        fix=f"set scaling.max to {fitting}, or lower local.kv_cache (a CPU replica's share of it)"
        if fitting
        else "lower local.kv_cache, choose a smaller model, or free memory",
    )


def read_api_key(spec: ServingSpec) -> str | None:
    """The key that clients must send, from the environment variable that the spec names."""
    variable = spec.gateway.api_key_env
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise UsageError(f"gateway.api_key_env names {variable}, which is not set", fix=f"export {variable}=...")
    return key
