"""The liveness script as it is mounted, run by Python against a server with vLLM's metrics."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from flyball.manifests.design import ENGINE_PORT
from flyball.manifests.probes import PROGRESS, STALLED_S
from loopback_http import Exchange, Server
from service_designs import MATRIX, objects, of_kind

Probe = Callable[..., Awaitable[int]]
METRICS = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{engine="0",model_name="m"}} {running}
vllm:num_requests_waiting{{engine="0",model_name="m"}} 0.0
vllm:num_requests_waiting_by_reason{{engine="0",model_name="m",reason="capacity"}} 7.0
vllm:iteration_tokens_total_bucket{{engine="0",le="1.0",model_name="m"}} 5.0
vllm:iteration_tokens_total_count{{engine="0",model_name="m"}} {steps}
"""


@pytest.fixture
def probe(tmp_path: Path) -> Probe:
    """Runs the script, `after` seconds from its first run; the exit code."""

    async def run(running: float, steps: float, *, after: float) -> int:
        async def answer(exchange: Exchange) -> None:
            await exchange.answer(METRICS.format(running=running, steps=steps).encode())

        async with Server(answer) as server:
            script = PROGRESS.replace(f":{ENGINE_PORT}", f":{server.port}")
            script = script.replace("/tmp/progress.json", str(tmp_path / "progress.json"))
            script = script.replace("time.monotonic()", f"{1000 + after}")
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-c", script, stderr=asyncio.subprocess.DEVNULL
            )
            return await child.wait()

    return run


async def test_it_restarts_an_engine_that_has_requests_and_stands_still(probe: Probe) -> None:
    """Work and no step for longer than the limit fails; the first look only remembers."""
    assert await probe(3, 100, after=0) == 0
    assert await probe(3, 100, after=STALLED_S) == 0
    assert await probe(3, 100, after=STALLED_S + 30) == 1


async def test_it_leaves_an_engine_that_steps_or_is_idle(probe: Probe) -> None:
    """One step in the whole time is progress; without requests standing still is no fault, however long."""
    assert await probe(3, 100, after=0) == 0
    assert await probe(3, 101, after=STALLED_S + 30) == 0
    assert await probe(0, 101, after=9 * STALLED_S - 30) == 0
    assert await probe(2, 101, after=9 * STALLED_S) == 0


async def test_it_leaves_an_engine_whose_metrics_cannot_be_read(tmp_path: Path) -> None:
    """Nothing listens: the readiness probe and the end of the process say that already."""
    script = PROGRESS.replace(f":{ENGINE_PORT}", ":9").replace("/tmp/progress.json", str(tmp_path / "progress.json"))
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stderr=asyncio.subprocess.DEVNULL)
    assert await child.wait() == 0


def test_it_is_the_script_that_is_mounted() -> None:
    """The ConfigMap holds it under the name that the probe runs."""
    manifests = objects(MATRIX["plain"])
    container = of_kind(manifests, "Deployment", "chat-engine")["spec"]["template"]["spec"]["containers"][0]
    path = Path(container["livenessProbe"]["exec"]["command"][1])
    mount = next(each for each in container["volumeMounts"] if each["name"] == "probe")
    data = of_kind(manifests, "ConfigMap", "chat-engine-probe")["data"]

    assert str(path.parent) == mount["mountPath"]
    assert data[path.name] == PROGRESS
