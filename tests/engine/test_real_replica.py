"""A replica's life with the real vLLM and the real small model."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from flyball.engine import (
    SMALL_MODEL_ID,
    Engine,
    Replica,
    replica_args,
    replica_command,
    replica_memory,
    resolve_model,
    this_machine,
)
from flyball.manifests.design import ENGINE_PORT
from flyball.manifests.probes import PROGRESS, STALLED_S
from flyball.processes import Nursery, free_port
from flyball.spec import ServingSpec, parse_model

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(300)]

PATIENCE_S = 240.0
SPEC = f"""
model: {{id: {SMALL_MODEL_ID}, served_name: small}}
engine: {{max_num_seqs: 4}}
local: {{kv_cache: 128Mi, drain_timeout: 60s}}
"""


class Stage:
    """Makes replicas of the small model."""

    def __init__(self, folder: Path, engine: Engine, nursery: Nursery, session: aiohttp.ClientSession) -> None:
        self.folder, self.engine, self.nursery, self.session = folder, engine, nursery, session

    def replica(self, text: str = SPEC) -> Replica:
        spec = parse_model(ServingSpec, text, source="spec")
        port = free_port()
        command = replica_command(
            spec,
            engine=self.engine,
            model=resolve_model(spec.model.id, self.engine),
            machine=this_machine(),
            index=0,
            port=port,
            inherited={**os.environ, "TMPDIR": str(self.nursery.scratch)},
        )
        return Replica(
            name="r1",
            port=port,
            argv=command.argv,
            env=command.env,
            log=self.folder / "r1.log",
            drain_timeout_s=spec.local.drain_timeout,
            nursery=self.nursery,
            session=self.session,
        )

    async def ask(self, replica: Replica, question: str) -> str:
        body = {"model": "small", "messages": [{"role": "user", "content": question}], "temperature": 0}
        async with self.session.post(f"{replica.url}/v1/chat/completions", json={**body, "max_tokens": 20}) as response:
            answer: str = (await response.json())["choices"][0]["message"]["content"]
            return answer

    async def stream(self, replica: Replica, tokens: int, begun: asyncio.Event) -> dict[str, object]:
        """The usage and the finish reason of a streamed answer; `begun` is set with its first token."""
        body = {
            "model": "small", "messages": [{"role": "user", "content": "Tell me a story"}], "max_tokens": tokens,
            "ignore_eos": True, "stream": True, "stream_options": {"include_usage": True},
        }  # fmt: skip
        found: dict[str, object] = {}
        async with self.session.post(f"{replica.url}/v1/chat/completions", json=body) as response:
            async for line in response.content:
                text = line.decode().removeprefix("data: ").strip()
                if not text or text == "[DONE]":
                    continue
                event = json.loads(text)
                found |= {"tokens": event["usage"]["completion_tokens"]} if event.get("usage") else {}
                for choice in event["choices"]:
                    begun.set()
                    found |= {"reason": choice["finish_reason"]} if choice["finish_reason"] else {}
        return found


@pytest.fixture
async def stage(tmp_path: Path, installed_engine: Engine) -> AsyncIterator[Stage]:
    async with aiohttp.ClientSession() as session:
        with Nursery() as nursery:
            yield Stage(tmp_path, installed_engine, nursery, session)


async def test_a_life_in_full(stage: Stage) -> None:
    """Ready, a true answer, metrics, memory as reckoned, and a drain that lets the running stream finish."""
    replica = stage.replica()
    await replica.start()
    assert await replica.wait_ready(PATIENCE_S) is None, replica.log.read_text()[-2000:]

    assert "Paris" in await stage.ask(replica, "What is the capital of France?")
    assert 'vllm:num_requests_running{engine="0",model_name="small"} 0.0' in (await replica.scrape() or "")
    spec = parse_model(ServingSpec, SPEC, source="spec")
    model = resolve_model(spec.model.id, stage.engine)
    args = replica_args(spec, engine=stage.engine, model=model, machine=this_machine())
    reckoned = replica_memory(args, engine=stage.engine, model=model)
    assert replica.memory_bytes() == pytest.approx(reckoned.total_bytes, rel=0.2)

    begun = asyncio.Event()
    stream = asyncio.create_task(stage.stream(replica, 100, begun))
    await begun.wait()
    family = psutil.Process().children(recursive=True)
    await replica.drain()

    assert stream.done()
    assert await stream == {"tokens": 100, "reason": "length"}
    assert (replica.state, replica.failure) == ("stopped", None)
    left = [process for process in family if process.is_running() and "vllm" in " ".join(process.cmdline()).lower()]
    assert psutil.wait_procs(left, timeout=5)[1] == []


def steps(metrics: str) -> float:
    name = "vllm:iteration_tokens_total_count{"
    return float(next(line for line in metrics.splitlines() if line.startswith(name)).rpartition(" ")[2])


async def look(replica: Replica, folder: Path, *, stalled_s: int) -> int:
    """The exit code of the liveness probe that is rendered for Kubernetes, with a shorter patience."""
    script = PROGRESS.replace(f":{ENGINE_PORT}", f":{replica.port}").replace(f", {STALLED_S}, ", f", {stalled_s}, ")
    script = script.replace("/tmp/progress.json", str(folder / "progress.json"))
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stderr=asyncio.subprocess.DEVNULL)
    return await child.wait()


async def test_the_liveness_probe_tells_an_engine_that_hangs_from_one_that_is_idle(stage: Stage) -> None:
    """Its metrics and its /health say of a hanging engine what they say of an idle one; a token asked for tells."""
    replica = stage.replica()
    await replica.start()
    assert await replica.wait_ready(PATIENCE_S) is None, replica.log.read_text()[-2000:]

    assert [await look(replica, stage.folder, stalled_s=5) for _ in range(6)] == [0] * 6
    assert steps(await replica.scrape() or "") >= 2
    begun = asyncio.Event()
    stream = asyncio.create_task(stage.stream(replica, 60, begun))
    await begun.wait()
    assert await look(replica, stage.folder, stalled_s=2) == 0
    await stream

    engine = next(each for each in psutil.Process().children(recursive=True) if "EngineCore" in each.name())
    family = [engine, *engine.children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        async with stage.session.get(f"{replica.url}/health") as response:
            assert response.status == 200
        # the first sees the stream's steps, the second asks for a token in vain, which takes 10 s, the third knows it
        codes = [await look(replica, stage.folder, stalled_s=2) for _ in range(3)]
    finally:
        for process in family:
            process.resume()
    assert codes[-1] == 1
    await replica.drain()


async def test_a_cache_too_small_for_the_context_is_explained(stage: Stage) -> None:
    """From the real message, with the context that would fit."""
    replica = stage.replica(SPEC.replace("kv_cache: 128Mi", "kv_cache: 64Mi"))
    await replica.start()
    failure = await replica.wait_ready(PATIENCE_S)

    assert failure is not None
    assert failure.is_permanent
    assert "too small for one request of max_model_len 2048" in failure.cause
    assert "engine.max_model_len to 1280" in failure.fix
    assert replica.state == "failed"


async def test_a_port_that_is_taken_during_the_start_is_explained(stage: Stage) -> None:
    """Another process was quicker: the cause is named as soon as vLLM has ended."""
    replica = stage.replica()
    await replica.start()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", replica.port))
        holder.listen()
        failure = await replica.wait_ready(PATIENCE_S)

    assert failure is not None
    assert failure.cause == "its port is taken"
    assert not failure.is_permanent
