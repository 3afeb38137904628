"""`Gateway`: one managed Envoy process and the files it works with."""

import asyncio
import contextlib
import resource
from collections.abc import Iterator, Sequence
from pathlib import Path

import aiohttp

from flyball.errors import OutsideError
from flyball.gateway.admin import Admin
from flyball.gateway.configuration import bootstrap, to_yaml
from flyball.gateway.endpoints import write_endpoints
from flyball.gateway.process import cause, command, find_envoy
from flyball.gateway.settings import FileEndpoints, GatewaySettings
from flyball.gateway.stats import GatewayStats
from flyball.processes import Child, Nursery, require_free

START_TIMEOUT_S = 30.0
POLL_S = 0.05


class Gateway:
    """Envoy on this machine, from `start` to `stop`.

    `folder` gets envoy.yaml (readable by this user alone: it holds the key), endpoints/endpoints.json,
    access.log and envoy.log. `child` is the process, so that its owner notices when it ends.
    """

    def __init__(self, settings: GatewaySettings, folder: Path, nursery: Nursery) -> None:
        self.settings = settings
        self.folder = folder.absolute()
        self.port = settings.port
        self.admin_port = settings.admin_port
        self._nursery = nursery
        self._endpoints = self.folder / "endpoints" / "endpoints.json"
        self._version = 0
        self._child: Child | None = None
        self._admin: Admin | None = None

    @property
    def url(self) -> str:
        return f"http://{self.settings.host}:{self.port}"

    @property
    def access_log(self) -> Path:
        return self.folder / "access.log"

    @property
    def child(self) -> Child:
        """The Envoy process. Only after `start`."""
        assert self._child is not None, "the gateway was not started"
        return self._child

    async def start(self) -> None:
        """Start Envoy and wait until it serves. Also starts it again after it ended, with the replicas listed last.

        Raises UsageError when the port is taken, OutsideError when Envoy is missing or does not start.
        """
        if self.settings.port:
            require_free(self.settings.port, key="gateway.port")
        envoy = find_envoy()
        self._admin = None
        if self._version == 0:  # the file of an earlier run may lie here
            self.set_endpoints([])
        configuration = self._write_configuration()
        admin_address = self.folder / "admin-address"
        admin_address.unlink(missing_ok=True)
        self._child = await self._nursery.start(
            command(envoy, configuration, admin_address=admin_address), log=self.folder / "envoy.log"
        )
        _allow_open_files(self._child.pid)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._until_ready(admin_address)
        except TimeoutError as error:
            await self.stop(0)
            raise OutsideError(
                f"Envoy was not ready after {START_TIMEOUT_S:g} s: {cause(self.child.tail())}",
                fix=f"its log is {self.child.log}",
            ) from error

    def _write_configuration(self) -> Path:
        path = self.folder / "envoy.yaml"
        configuration = bootstrap(
            self.settings, endpoints=FileEndpoints(path=str(self._endpoints)), access_log=str(self.access_log)
        )
        with _outside_errors(path):
            path.unlink(missing_ok=True)  # an older file may have other permissions
            path.touch(mode=0o600)
            path.write_text(to_yaml(configuration))
        return path

    async def _until_ready(self, admin_address: Path) -> None:
        while self.child.returncode is None:
            address = admin_address.read_text() if admin_address.exists() else ""
            if address and await Admin(f"http://{address}").is_ready():
                self._admin = Admin(f"http://{address}")
                self.admin_port = int(address.rpartition(":")[2])
                self.port = await self._admin.listener_port("gateway")
                return
            await asyncio.sleep(POLL_S)
        raise OutsideError(
            f"Envoy ended while starting: {cause(self.child.tail())}", fix=f"its log is {self.child.log}"
        )

    def set_endpoints(self, addresses: Sequence[tuple[str, int]]) -> None:
        """List exactly these replicas, (IP address, port). Requests on one that is no longer listed go on."""
        self._version += 1
        with _outside_errors(self._endpoints):
            write_endpoints(self._endpoints, addresses, version=self._version)

    async def until_serving(self) -> None:
        """Wait until a request would reach a replica: Envoy reads a new list a moment after it was written.

        Raises OutsideError when it does not read it.
        """
        try:
            async with asyncio.timeout(START_TIMEOUT_S), aiohttp.ClientSession() as session:
                while not await _is_healthy(session, f"{self.url}/health"):
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            what = f"the gateway knows no replica {START_TIMEOUT_S:g} s after one was listed"
            raise OutsideError(what, fix=f"its log is {self.child.log}") from error

    async def stats(self) -> GatewayStats:
        """Raises OutsideError when Envoy does not answer."""
        assert self._admin is not None, "the gateway was not started"
        return await self._admin.stats()

    async def stop(self, grace_s: float) -> None:
        """Refuse new connections, give requests in flight up to `grace_s` seconds, end Envoy. 0: at once."""
        if self._child is None:
            return
        if self._admin is not None and grace_s > 0:
            with contextlib.suppress(OutsideError, TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self._admin.stop_listening()
                    while (await self._admin.stats()).downstream_rq_active:
                        await asyncio.sleep(POLL_S)
        self._admin = None
        await self._child.stop(grace_s=5.0)


async def _is_healthy(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


def _allow_open_files(pid: int) -> None:
    # A shell's usual 1,024 are fewer than the connections that max_pending and its clients may need.
    with contextlib.suppress(OSError):
        _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))


@contextlib.contextmanager
def _outside_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutsideError(
            f"cannot write {path}: {error.strerror}", fix="make room, or choose another folder"
        ) from error
