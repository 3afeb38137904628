"""The local engine as a target: one replica of the spec, on the cores or GPUs that a replica of its fleet has."""

import time
from pathlib import Path

import aiohttp

from flyball.engine import Engine, Replica, StartFailure, this_machine
from flyball.errors import UsageError
from flyball.local.service import RESERVE_BYTES, Blueprint
from flyball.processes import Nursery, free_port
from flyball.spec import FlagValue, ServingSpec
from flyball.tune.target import Started
from flyball.tune.trial import Flags
from flyball.units import format_bytes


def with_flags(spec: ServingSpec, flags: Flags) -> ServingSpec:
    """The spec with tuned flags in the places where it keeps them."""
    engine: dict[str, FlagValue] = {**spec.engine, **flags}
    quantization = engine.pop("quantization", spec.model.quantization)
    model = spec.model.model_copy(update={"quantization": quantization})
    return spec.model_copy(update={"engine": engine, "model": model})


class LocalTarget:
    """A `Target`."""

    def __init__(self, spec: ServingSpec, engine: Engine, *, nursery: Nursery, session: aiohttp.ClientSession) -> None:
        self._spec, self._engine = spec, engine
        self._nursery, self._session = nursery, session
        self._replica: Replica | None = None

    async def start(self, flags: Flags, *, log: Path) -> Started | StartFailure:
        """Memory is looked at before: a machine that swaps would measure something else."""
        spec, machine = with_flags(self._spec, flags), this_machine()
        try:
            blueprint = Blueprint.of(spec, self._engine, machine)
        except UsageError as error:
            return StartFailure(cause=error.what, evidence="", fix=error.fix, is_permanent=True)
        usable = machine.memory_available_bytes - RESERVE_BYTES
        if blueprint.memory_bytes > usable:
            needs = f"it needs {format_bytes(blueprint.memory_bytes)} of memory, and {format_bytes(usable)} can be used"
            return StartFailure(cause=needs, evidence="", fix="lower local.kv_cache, or free memory")
        command = blueprint.command(0, free_port(), self._nursery.scratch)
        began = time.perf_counter()
        replica = self._replica = Replica(
            name="trial",
            port=int(command.args["port"]),
            argv=command.argv,
            env=command.env,
            log=log,
            drain_timeout_s=0.0,
            nursery=self._nursery,
            session=self._session,
        )
        await replica.start()
        failure = await replica.wait_ready(self._spec.local.start_timeout)
        if failure is not None:
            return failure
        return Started(
            url=replica.url, model=blueprint.served_name, seconds=time.perf_counter() - began, vllm=self._engine.version
        )

    async def stop(self) -> None:
        """At once: nobody waits for an answer."""
        if self._replica is not None:
            await self._replica.stop()
