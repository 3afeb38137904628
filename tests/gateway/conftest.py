"""The real Envoy for a test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from flyball.gateway import Gateway, GatewaySettings
from flyball.processes import Nursery
from loopback_http import Server

StartGateway = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def start_gateway(tmp_path: Path) -> AsyncIterator[StartGateway]:
    """Start Envoy in front of servers, with settings of the test's choice and ports of the system's."""
    with Nursery() as nursery:
        async with AsyncExitStack() as stack:

            async def start(*servers: Server, **settings: Any) -> Gateway:
                gateway = Gateway(GatewaySettings(**{"port": 0, **settings}), tmp_path / "gateway", nursery)
                gateway.set_endpoints([server.address for server in servers])
                stack.push_async_callback(gateway.stop, 0)
                await gateway.start()
                return gateway

            yield start
