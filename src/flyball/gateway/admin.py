"""Envoy's admin port."""

from dataclasses import dataclass

import aiohttp

from flyball.errors import OutsideError
from flyball.gateway.stats import STATS_FILTER, GatewayStats

TIMEOUT = aiohttp.ClientTimeout(total=5)


@dataclass(frozen=True, slots=True)
class Admin:
    """Asks one Envoy, over a connection of its own each time. Raises OutsideError when it does not answer."""

    url: str

    async def is_ready(self) -> bool:
        """Whether the listeners are open and the first list of replicas was read. False while nothing answers."""
        try:
            await self._ask("GET", "/ready")
        except OutsideError:
            return False
        return True

    async def stats(self) -> GatewayStats:
        return GatewayStats.parse(await self._ask("GET", "/stats", filter=STATS_FILTER))

    async def listener_port(self, name: str) -> int:
        """The port that the listener of that name got."""
        lines = dict(line.split("::") for line in (await self._ask("GET", "/listeners")).split())
        return int(lines[name].rpartition(":")[2])

    async def stop_listening(self) -> None:
        """New connections are refused from now on; open ones go on."""
        await self._ask("POST", "/drain_listeners")

    async def _ask(self, method: str, path: str, **query: str) -> str:
        try:
            async with (
                aiohttp.ClientSession(timeout=TIMEOUT, raise_for_status=True) as session,
                session.request(method, self.url + path, params=query) as response,
            ):
                return await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise OutsideError(
                f"Envoy's admin port does not answer {self.url}{path}: {str(error) or 'timed out'}",
                fix="Envoy's log is envoy.log, beside its configuration",
            ) from error
