"""The rendered gateway, taken out of its objects and run: configuration by the real Envoy, preStop hook by bash.

Only addresses differ from what a cluster gets: the name of the replicas, and ports that are free here.
"""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from flyball.gateway import find_envoy, validate
from flyball.gateway.admin import Admin
from flyball.manifests.design import ENGINE_PORT, GATEWAY_ADMIN_PORT, GATEWAY_METRICS_PORT, GATEWAY_PORT
from flyball.manifests.gateway import FILE, PROPAGATION_S
from flyball.processes import Nursery, free_port
from loopback_http import Exchange, Server, fetch
from service_designs import KEY, MATRIX, objects, of_kind

pytestmark = pytest.mark.envoy


def configuration(name: str) -> str:
    """Envoy's bootstrap as the cluster mounts it."""
    manifests = objects(MATRIX[name])
    if name == "key":
        text = of_kind(manifests, "Secret", "chat-gateway")["stringData"][FILE]
    else:
        text = of_kind(manifests, "ConfigMap", "chat-gateway")["data"][FILE]
    return str(text)


@dataclass(frozen=True, slots=True)
class Running:
    port: int
    metrics_port: int
    admin_port: int


@asynccontextmanager
async def envoy(
    folder: Path, text: str, replica_port: int, *, replica_host: str | None = "localhost"
) -> AsyncIterator[Running]:
    """Without `replica_host` the name in the text stays, and no replica is waited for."""
    here = Running(free_port(), free_port(), free_port())
    for name, address in (
        *([(MATRIX["plain"].engine_host, replica_host)] if replica_host else []),
        (f"port_value: {ENGINE_PORT}\n", f"port_value: {replica_port}\n"),
        (f"port_value: {GATEWAY_PORT}\n", f"port_value: {here.port}\n"),
        (f"port_value: {GATEWAY_METRICS_PORT}\n", f"port_value: {here.metrics_port}\n"),
        (f"port_value: {GATEWAY_ADMIN_PORT}\n", f"port_value: {here.admin_port}\n"),
        ("/dev/stdout", str(folder / "access.log")),
    ):
        assert name in text
        text = text.replace(name, address)
    (folder / FILE).write_text(text)
    arguments = of_kind(objects(MATRIX["plain"]), "Deployment", "chat-gateway")["spec"]["template"]["spec"]
    flags = [each.replace("/etc/envoy", str(folder)) for each in arguments["containers"][0]["args"]]
    with Nursery() as nursery:
        child = await nursery.start([str(find_envoy()), *flags, "--base-id", str(here.port)], log=folder / "envoy.log")
        admin = Admin(f"http://127.0.0.1:{here.admin_port}")
        while not await admin.is_ready() or (replica_host and (await admin.stats()).membership_healthy == 0):
            assert child.returncode is None, child.tail()
        yield here
        await child.stop(grace_s=5)


@pytest.mark.parametrize("name", ["plain", "key"])
def test_envoy_takes_the_rendered_configuration(name: str, tmp_path: Path) -> None:
    """Envoy itself finds no mistake and nothing deprecated in what the cluster would mount."""
    path = tmp_path / FILE
    path.write_text(configuration(name))
    assert validate(path) == ""


async def test_it_serves_and_tells_its_metrics(tmp_path: Path) -> None:
    """With the key a request reaches the replica behind the name; /ready and the metrics have their port."""

    async def answer(exchange: Exchange) -> None:
        await exchange.answer(b"good")

    async with Server(answer) as server, envoy(tmp_path, configuration("key"), server.port) as here:
        assert (await fetch(here.port, "/v1/models", headers=(f"authorization: Bearer {KEY}",))).body == b"good"
        assert (await fetch(here.port, "/v1/models")).status == 401
        assert (await fetch(here.port, "/metrics", headers=(f"authorization: Bearer {KEY}",))).status == 404
        assert (await fetch(here.metrics_port, "/ready")).status == 200
        metrics = await fetch(here.metrics_port, "/stats/prometheus")
        assert b"envoy_http_downstream_rq_total" in metrics.body
        assert (await fetch(here.metrics_port, "/quitquitquit", method="POST")).status == 404


async def test_without_a_replica_it_is_ready_and_says_so(tmp_path: Path) -> None:
    """A name that resolves to nothing, as before the first replica serves: the gateway starts, and answers 503."""
    text = configuration("plain").replace(MATRIX["plain"].engine_host, "chat-engine.invalid")
    async with envoy(tmp_path, text, 1, replica_host=None) as here:
        assert (await fetch(here.metrics_port, "/ready")).status == 200
        answer = await fetch(here.port, "/v1/models")
        assert (answer.status, b"no replica is ready" in answer.body) == (503, True)


async def test_the_pre_stop_hook_waits_for_the_last_stream(tmp_path: Path) -> None:
    """While a stream runs the hook waits, and it ends when the stream has; answers tell clients to connect anew."""
    go_on = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        if exchange.request.path != "/v1/stream":
            await exchange.answer(b"good")
            return
        await exchange.stream_head()
        await exchange.event("first")
        await go_on.wait()
        await exchange.event("last")
        await exchange.end()

    pod = of_kind(objects(MATRIX["plain"]), "Deployment", "chat-gateway")["spec"]["template"]["spec"]
    hook: list[str] = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    async with Server(answer) as server, envoy(tmp_path, configuration("plain"), server.port) as here:
        script = hook[-1].replace(str(GATEWAY_ADMIN_PORT), str(here.admin_port))
        script = script.replace(f"sleep {PROPAGATION_S}", "sleep 0.1").replace("sleep 1;", "sleep 0.1;")
        stream = asyncio.create_task(fetch(here.port, "/v1/stream"))
        while not server.requests:
            await asyncio.sleep(0.01)
        running = await asyncio.create_subprocess_exec(*hook[:-1], script, stderr=subprocess.PIPE)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(running.wait()), 2)
        other = await fetch(here.port, "/v1/models")
        go_on.set()

        assert (await stream).complete
        assert await asyncio.wait_for(running.wait(), 10) == 0
        assert other.headers.get("connection") == "close"
