"""One vLLM server: started, ready, drained, stopped; and why it failed, if it did."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import aiohttp

from flyball.engine.diagnosis import StartFailure, diagnose
from flyball.processes import Child, Nursery, is_free

State = Literal["new", "starting", "ready", "draining", "stopped", "failed"]

HEALTH_POLL_S = 0.5
HEALTH_TIMEOUT_S = 5.0
SCRAPE_TIMEOUT_S = 3.0
TEARDOWN_S = 20.0
"""What vLLM takes beyond --shutdown-timeout to leave. Past it, streams hang without an end until the process is killed
(vLLM 0.32: the engine is gone and the API server waits for its open connections for ever)."""


class Replica:
    """A vLLM server on the loopback interface, with its engine core and workers."""

    def __init__(
        self,
        *,
        name: str,
        port: int,
        argv: tuple[str, ...],
        env: Mapping[str, str],
        log: Path,
        drain_timeout_s: float,
        nursery: Nursery,
        session: aiohttp.ClientSession,
    ) -> None:
        """`drain_timeout_s` is the --shutdown-timeout in `argv`."""
        self.name = name
        self.port = port
        self.log = log
        self.state: State = "new"
        self.failure: StartFailure | None = None
        """Set once the state is `failed`."""
        self._argv, self._env = argv, env
        self._drain_timeout_s = drain_timeout_s
        self._nursery, self._session = nursery, session
        self._child: Child | None = None
        self._following: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start the processes. Raises OutsideError if the interpreter is not there."""
        if not is_free(self.port):  # another server's /health would pass for ours
            self._fail(diagnose("Address already in use", returncode=None))
            return
        self._child = await self._nursery.start(self._argv, log=self.log, env=self._env)
        self.state = "starting"
        self._following = asyncio.create_task(self._follow(self._child), name=f"follow {self.name}")

    async def wait_ready(self, timeout_s: float) -> StartFailure | None:
        """None once /health answers 200; the failure if the process ends first, or is not ready in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while self.state == "starting":
            if await self._is_healthy():
                if self.state == "starting":
                    self.state = "ready"
            elif loop.time() >= deadline:
                await self._give_up(timeout_s)
            elif self._following is not None:
                await asyncio.wait({self._following}, timeout=HEALTH_POLL_S)
        return self.failure

    async def wait_ended(self) -> None:
        """Until all of its processes are gone, for whatever reason; the state is then `stopped` or `failed`."""
        if self._following is not None:
            await asyncio.wait({self._following})

    async def drain(self) -> None:
        """Let every request finish, then end; killed once vLLM's own time limit and some more have passed.

        Send it nothing any more before this: vLLM answers new requests with 500 from here on.
        """
        if self.state != "ready" or self._child is None:
            await self.stop()
            return
        self.state = "draining"
        await self._child.stop(grace_s=self._drain_timeout_s + TEARDOWN_S)
        await self.wait_ended()

    async def stop(self) -> None:
        """End it at once; its streams are cut."""
        if self._child is not None and self.state in ("starting", "ready", "draining"):
            self.state = "draining"
            self._child.kill()
        await self.wait_ended()

    def kill(self) -> None:
        """SIGKILL to all of its processes, as a crash: the state becomes `failed`."""
        if self._child is not None:
            self._child.kill()

    async def scrape(self) -> str | None:
        """The text of /metrics; None if it does not answer."""
        status, text = await self._get("/metrics", timeout_s=SCRAPE_TIMEOUT_S)
        return text if status == 200 else None

    def memory_bytes(self) -> int:
        """Resident memory of its processes; pages that they share count for each."""
        return self._child.memory_bytes() if self._child is not None else 0

    async def _follow(self, child: Child) -> None:
        returncode = await child.wait()
        child.kill()  # an engine core outlives a server that was killed alone
        if self.state == "draining":
            self.state = "stopped"
        elif self.state != "failed":
            self._fail(diagnose(child.tail(), returncode=returncode))

    async def _give_up(self, timeout_s: float) -> None:
        assert self._child is not None
        said = diagnose(self._child.tail(), returncode=None)
        self._fail(
            StartFailure(
                cause=f"it was not ready after {timeout_s:.0f} s",
                evidence=said.evidence,
                fix=f"read {self.log}; if it is merely slow, raise local.start_timeout",
            )
        )
        self._child.kill()
        await self.wait_ended()

    def _fail(self, failure: StartFailure) -> None:
        self.failure = failure
        self.state = "failed"

    async def _is_healthy(self) -> bool:
        status, _ = await self._get("/health", timeout_s=HEALTH_TIMEOUT_S)
        return status == 200

    async def _get(self, path: str, *, timeout_s: float) -> tuple[int, str]:
        """Status and body; (0, "") where nothing answers."""
        try:
            timeout = aiohttp.ClientTimeout(total=timeout_s)
            async with self._session.get(self.url + path, timeout=timeout) as response:
                return response.status, await response.text()
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            return 0, ""
