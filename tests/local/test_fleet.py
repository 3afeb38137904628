import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from fake_engine import fake_engine
from flyball.bench import LoadSettings, ask, run_load
from flyball.errors import OutsideError, UsageError
from flyball.local import Service, Timeline, serving
from flyball.local.service import check_memory
from flyball.spec import Arrivals, Lengths, ServingSpec, parse_model
from flyball.units import GIB
from flyball.workload import Workload

pytestmark = pytest.mark.envoy

SPEC = """
model: {id: fake}
workload: {prompt_tokens: {fixed: 8}, output_tokens: {fixed: 40}}
scaling: {min: 1, max: 3}
engine: {max_num_seqs: 2}
local:
  sync_period: 300ms
  behavior: {scale_down: {stabilization_window: 1s}}
  kv_cache: 64Mi
  drain_timeout: 20s
"""


def _spec(text: str = SPEC) -> ServingSpec:
    spec = parse_model(ServingSpec, text, source="test")
    return spec.model_copy(update={"gateway": spec.gateway.model_copy(update={"port": 0})})


@contextlib.asynccontextmanager
async def _fleet(folder: Path, spec: ServingSpec) -> AsyncIterator[Service]:
    """A fleet of fakes on a port of the system's choice."""
    timeline = Timeline()
    engine = fake_engine(folder / "engine")
    async with serving(spec, engine, folder=folder / "run", timeline=timeline, sample_period_s=0.1) as service:
        yield service


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.02)


def _ready(service: Service) -> int:
    return sum(member.state == "ready" for member in service.fleet.members)


async def test_the_fleet_follows_the_load_and_breaks_no_stream(tmp_path: Path) -> None:
    """One replica becomes three under load and one again after it; every request is answered in full."""
    async with _fleet(tmp_path, _spec()) as service:
        assert (await ask(service.url, "What?", model="fake")).text == "The capital of France is Paris."
        shape = service.spec.workload.model_copy(update={"arrivals": Arrivals(closed_loop=8)})
        stop = asyncio.Event()
        load = asyncio.create_task(
            run_load(service.url, Workload.generate(shape), model="fake", settings=LoadSettings(), stop=stop)
        )
        await _until(lambda: _ready(service) == 3)
        stop.set()
        long = shape.model_copy(update={"arrivals": Arrivals(closed_loop=1), "output_tokens": Lengths(fixed=300)})
        stream = asyncio.create_task(run_load(service.url, Workload.generate(long, count=1), model="fake"))
        await _until(lambda: len(service.fleet.members) == 1)
        records = [*await load, *await stream]

    assert {record.outcome for record in records} == {"ok"}
    assert all(record.output_tokens == record.requested_output_tokens for record in records)
    assert service.nursery.leftovers() == []
    assert [event.kind for event in service.fleet.timeline.events].count("drain") == 3


async def test_a_killed_replica_is_replaced_and_its_queue_is_answered_elsewhere(tmp_path: Path) -> None:
    """Requests without a first byte move to the other replica; the killed one comes back under its name."""
    spec = _spec(SPEC.replace("min: 1", "min: 2"))
    async with _fleet(tmp_path, spec) as service:
        # Streams of two seconds: a queue that a sample has seen is still there when its replica is killed.
        shape = spec.workload.model_copy(
            update={"arrivals": Arrivals(closed_loop=12), "output_tokens": Lengths(fixed=200)}
        )
        load = asyncio.create_task(run_load(service.url, Workload.generate(shape, count=12), model="fake"))

        def queues() -> list[str]:
            samples = service.fleet.timeline.samples
            return [replica.name for replica in samples[-1].replicas if (replica.waiting or 0) > 1] if samples else []

        await _until(lambda: bool(queues()))
        service.fleet.kill(queues()[0])
        records = await load
        await _until(lambda: _ready(service) >= 2)
        stats = await service.fleet.gateway.stats()

    cut = [record for record in records if record.outcome == "cut"]
    answered = [record for record in records if record.outcome == "ok"]
    assert len(cut) + len(answered) == 12
    assert 0 < len(cut) <= 2  # what ran on the dead replica, which has two slots
    assert stats.retries >= 1
    assert "crashed" in [event.kind for event in service.fleet.timeline.events]


async def test_a_killed_gateway_is_started_again(tmp_path: Path) -> None:
    """When Envoy dies a new one takes its port and serves the same replicas."""
    async with _fleet(tmp_path, _spec(SPEC.replace("max: 3", "max: 1"))) as service:
        service.fleet.gateway.child.kill()
        await _until(lambda: any(event.text == "the gateway serves again" for event in service.fleet.timeline.events))

        assert (await ask(service.url, "What?", model="fake")).output_tokens > 0


async def test_a_start_that_fails_says_why_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's own words become the error; no process is left."""
    monkeypatch.setenv("FAKE_FAIL", "ValueError: Model architectures ['FooForCausalLM'] are not supported for now.")

    with pytest.raises(OutsideError, match="FooForCausalLM"):
        async with _fleet(tmp_path, _spec()):
            pytest.fail("it must not get here")


async def test_only_the_api_is_reachable(tmp_path: Path) -> None:
    """The engine's metrics are behind the gateway, not through it."""
    async with _fleet(tmp_path, _spec(SPEC.replace("max: 3", "max: 1"))) as service, aiohttp.ClientSession() as session:
        async with session.get(f"{service.url}/metrics") as response:
            assert response.status == 404
        async with session.get(f"{service.url}/v1/models") as response:
            assert response.status == 200


def test_more_replicas_than_memory_holds_are_refused_with_the_numbers() -> None:
    """The message has the need, the memory there is, and how many would fit."""
    with pytest.raises(UsageError, match=r"scaling\.max 3 replicas of 4 GiB each need 12 GiB; 10 GiB") as caught:
        check_memory(_spec(), 4 * GIB, 10 * GIB)

    assert "scaling.max to 2" in caught.value.fix
    check_memory(_spec(), 3 * GIB, 10 * GIB)
