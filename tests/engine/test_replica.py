"""A replica's life, with a small server that behaves like vLLM from outside."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from flyball.engine import Replica
from flyball.errors import OutsideError
from flyball.processes import Nursery, free_port

SERVER = Path(__file__).parent.parent / "fake_vllm_server.py"
WITH_CHILD = "import subprocess, sys; subprocess.Popen(['sleep', '60']); exec(open(sys.argv.pop(1)).read())"


class Stage:
    """Makes replicas that share a nursery and a session."""

    def __init__(self, folder: Path, nursery: Nursery, session: aiohttp.ClientSession) -> None:
        self.folder, self.nursery, self.session = folder, nursery, session

    def replica(self, *, drain_timeout_s: float = 30.0, **env: str) -> Replica:
        """One that serves at 100 tokens a second; `env` are the server's own settings."""
        port = free_port()
        flags = (f"--port={port}", f"--shutdown-timeout={drain_timeout_s}")
        return Replica(
            name="r1",
            port=port,
            argv=(sys.executable, "-c", WITH_CHILD, str(SERVER), *flags),
            env=env,
            log=self.folder / "r1.log",
            drain_timeout_s=drain_timeout_s,
            nursery=self.nursery,
            session=self.session,
        )

    async def ready(self, *, drain_timeout_s: float = 30.0) -> Replica:
        replica = self.replica(drain_timeout_s=drain_timeout_s)
        await replica.start()
        assert await replica.wait_ready(20) is None
        return replica

    async def stream(self, replica: Replica, tokens: int, begun: asyncio.Event) -> bytes:
        """The whole answer; `begun` is set with its first bytes."""
        question = {"messages": [{"role": "user", "content": "?"}], "max_tokens": tokens, "stream": True}
        received = b""
        async with self.session.post(f"{replica.url}/v1/chat/completions", json=question) as response:
            async for chunk in response.content.iter_any():
                received += chunk
                begun.set()
        return received


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with aiohttp.ClientSession() as session:
        with Nursery() as nursery:
            yield Stage(tmp_path, nursery, session)


def _family() -> list[psutil.Process]:
    """The processes that the replicas of this test consist of, without the nursery's watchdog."""
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if process.name() == "sleep" or str(SERVER) in process.cmdline()
    ]


def _gone(family: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(family, timeout=5)[1]


async def test_it_becomes_ready_and_can_be_asked(stage: Stage) -> None:
    """Ready once /health answers; then it has metrics and memory."""
    replica = stage.replica()
    states = [replica.state]
    assert replica.memory_bytes() == 0

    await replica.start()
    states.append(replica.state)
    assert await replica.scrape() is None

    assert await replica.wait_ready(20) is None
    assert [*states, replica.state] == ["new", "starting", "ready"]
    assert "vllm:num_requests_running" in (await replica.scrape() or "")
    assert replica.memory_bytes() > 10 * 2**20


@pytest.mark.long
async def test_drain_lets_the_running_stream_finish(stage: Stage) -> None:
    """SIGTERM while a stream runs: every token arrives, then all of its processes are gone."""
    replica = await stage.ready()
    begun = asyncio.Event()
    stream = asyncio.create_task(stage.stream(replica, 60, begun))
    await begun.wait()
    family = _family()
    drain = asyncio.create_task(replica.drain())
    await asyncio.sleep(0)
    states = [replica.state]

    received = await stream
    await drain
    assert received.count(b'"content": "word "') == 60
    assert received.endswith(b"[DONE]\n\n")
    assert [*states, replica.state] == ["draining", "stopped"]
    assert replica.failure is None
    assert len(family) == 2
    assert _gone(family)


@pytest.mark.long
async def test_stop_ends_it_at_once(stage: Stage) -> None:
    """Its streams are cut, nothing of it is left, and that is no failure."""
    replica = await stage.ready()
    begun = asyncio.Event()
    stream = asyncio.create_task(stage.stream(replica, 10_000, begun))
    await begun.wait()
    family = _family()
    await replica.stop()

    with pytest.raises(aiohttp.ClientPayloadError):
        await stream
    assert (replica.state, replica.failure) == ("stopped", None)
    assert _gone(family)


async def test_stop_overtakes_a_drain(stage: Stage) -> None:
    """A second Ctrl-C: whoever waits for the drain is released."""
    replica = await stage.ready()
    begun = asyncio.Event()
    stream = asyncio.create_task(stage.stream(replica, 10_000, begun))
    await begun.wait()
    drain = asyncio.create_task(replica.drain())
    await asyncio.sleep(0)
    await replica.stop()
    await drain

    assert replica.state == "stopped"
    with pytest.raises(aiohttp.ClientPayloadError):
        await stream


@pytest.mark.parametrize("way", ["stop", "drain"])
async def test_one_that_still_starts_is_stopped_at_once(stage: Stage, way: str) -> None:
    """There is nothing to drain; whoever waits for it to be ready is released without a failure."""
    replica = stage.replica(FAKE_START_S="60")
    await replica.start()
    waiting = asyncio.create_task(replica.wait_ready(60))
    await asyncio.sleep(0)
    await getattr(replica, way)()

    assert await waiting is None
    assert (replica.state, replica.failure) == ("stopped", None)


@pytest.mark.long
async def test_a_crash_is_noticed_and_diagnosed(stage: Stage) -> None:
    """SIGKILL from outside: the state is failed, and what the server left behind is gone too."""
    replica = await stage.ready()
    family = _family()
    replica.kill()
    await replica.wait_ended()

    assert replica.state == "failed"
    assert replica.failure is not None
    assert "killed from outside" in replica.failure.cause
    assert _gone(family)
    await replica.drain()
    assert replica.state == "failed"


async def test_a_server_that_ends_at_start_says_why(stage: Stage) -> None:
    """The cause comes from its log, as soon as it has ended."""
    replica = stage.replica(
        FAKE_FAIL="ValueError: Free memory on device cuda:0 (1/80 GiB) on startup is less than desired"
    )
    await replica.start()
    failure = await replica.wait_ready(30)

    assert failure is not None
    assert failure is replica.failure
    assert "GPU's memory" in failure.cause
    error = failure.error("replica r1")
    assert isinstance(error, OutsideError)
    assert error.what.startswith("replica r1 does not run: the GPU's memory")


async def test_one_that_is_never_ready_is_given_up(stage: Stage) -> None:
    """After the time limit it is stopped and reported, with the key that gives it longer."""
    replica = stage.replica(FAKE_START_S="60")
    await replica.start()
    family = _family()
    failure = await replica.wait_ready(0.3)

    assert failure is not None
    assert failure.cause == "it was not ready after 0 s"
    assert "local.start_timeout" in failure.fix
    assert replica.state == "failed"
    assert _gone(family)


async def test_a_taken_port_is_noticed_before_the_start(stage: Stage) -> None:
    """Otherwise another server's /health would pass for this one's."""
    replica = stage.replica()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", replica.port))
        holder.listen()
        await replica.start()

        failure = await replica.wait_ready(5)
    assert failure is not None
    assert failure.cause == "its port is taken"
    assert not replica.log.exists()
