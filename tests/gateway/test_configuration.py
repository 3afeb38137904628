"""The generated configuration: what it is, that Envoy takes it, and that its other form serves too."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from flyball.errors import OutsideError, UsageError
from flyball.gateway import DnsEndpoints, FileEndpoints, GatewaySettings, bootstrap, find_envoy, to_yaml, validate
from flyball.gateway.admin import Admin
from flyball.gateway.endpoints import write_endpoints
from flyball.gateway.process import cause, command
from flyball.processes import Nursery, free_port
from flyball.spec import GatewaySpec
from loopback_http import Exchange, Server, fetch

DATA = Path(__file__).parent / "data"
LOCAL = to_yaml(
    bootstrap(
        GatewaySettings(port=8000, api_key="sk-golden"),
        endpoints=FileEndpoints(path="/run/gateway/endpoints/endpoints.json"),
        access_log="/run/gateway/access.log",
    )
)
KUBERNETES = to_yaml(
    bootstrap(
        GatewaySettings(host="0.0.0.0", admin_port=9901, metrics_port=9902, max_pending=256, retries=1),
        endpoints=DnsEndpoints(name="chat-replicas.llm.svc.cluster.local", port=8000),
        access_log="/dev/stdout",
    )
)


@pytest.mark.parametrize(("name", "text"), [("local", LOCAL), ("kubernetes", KUBERNETES)])
def test_the_configuration_is_the_golden_one(name: str, text: str) -> None:
    """Every change of the configuration is seen in review. UPDATE_GOLDEN=1 pytest writes what is generated."""
    golden = DATA / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)

    assert text == golden.read_text()


@pytest.mark.envoy
@pytest.mark.parametrize("text", [LOCAL, KUBERNETES], ids=["local", "kubernetes"])
def test_envoy_takes_the_configuration(text: str, tmp_path: Path) -> None:
    """Envoy itself finds no mistake in it, and no field that is deprecated."""
    path = tmp_path / "envoy.yaml"
    path.write_text(text.replace("/run/gateway", str(tmp_path)))
    write_endpoints(tmp_path / "endpoints" / "endpoints.json", [], version=0)

    assert validate(path) == ""


@pytest.mark.envoy
def test_envoy_s_complaint_is_shown(tmp_path: Path) -> None:
    """A configuration that Envoy refuses is refused with its reason."""
    path = tmp_path / "envoy.yaml"
    path.write_text(LOCAL.replace("lb_policy", "lb_polish"))

    with pytest.raises(OutsideError, match=r"Envoy refuses .*envoy.yaml: .*lb_polish"):
        validate(path)


def test_the_spec_s_values_arrive() -> None:
    """What the user's file says about the gateway is in the configuration."""
    spec = GatewaySpec(port=8123, idle_timeout=77.0, max_pending=9, retries=4)
    configuration: Any = bootstrap(
        GatewaySettings.of(spec, api_key="sk-1"), endpoints=FileEndpoints(path="/a/b"), access_log="/log"
    )
    listener = configuration["static_resources"]["listeners"][0]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    route = manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]
    limits = configuration["static_resources"]["clusters"][0]["circuit_breakers"]["thresholds"][0]

    assert listener["address"]["socket_address"] == {"address": "127.0.0.1", "port_value": 8123}
    assert manager["stream_idle_timeout"] == "77s"
    assert route["retry_policy"]["num_retries"] == 4
    assert (limits["max_requests"], limits["max_pending_requests"]) == (9, 9)
    assert "Bearer sk-1" in json.dumps(manager["http_filters"])


@pytest.mark.parametrize("key", ["", "two words", "tab\t", "line\n", "schlüssel"])
def test_a_key_that_no_header_carries_is_refused(key: str) -> None:
    """A key that no client could send is a mistake to be told at once."""
    with pytest.raises(UsageError, match="API key"):
        GatewaySettings(api_key=key)


def test_metrics_need_a_known_admin_port() -> None:
    """The port for Prometheus passes requests on to the admin port."""
    with pytest.raises(ValueError, match="admin_port"):
        GatewaySettings(metrics_port=9902)


@pytest.mark.envoy
async def test_replicas_behind_a_name_are_found(tmp_path: Path) -> None:
    """The form for Kubernetes serves from the addresses that its name resolves to."""

    async def answer_ok(exchange: Exchange) -> None:
        await exchange.answer(b"good")

    async with Server(answer_ok) as server:
        admin_port, port, path = free_port(), free_port(), tmp_path / "envoy.yaml"
        configuration = bootstrap(
            GatewaySettings(port=port, admin_port=admin_port),
            endpoints=DnsEndpoints(name="localhost", port=server.port),
            access_log=str(tmp_path / "access.log"),
        )
        path.write_text(to_yaml(configuration))
        with Nursery() as nursery:
            argv = command(find_envoy(), path, admin_address=tmp_path / "admin")
            child = await nursery.start(argv, log=tmp_path / "envoy.log")
            admin = Admin(f"http://127.0.0.1:{admin_port}")
            while not await admin.is_ready() or (await admin.stats()).membership_healthy == 0:
                assert child.returncode is None, child.tail()

            assert (await fetch(port, "/v1/models")).body == b"good"
            await child.stop(grace_s=5)


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("", "its log is empty"),
        ("exec format error\n", "exec format error"),
        (
            "[2026-11-23 20:16:50.789][7780][warning][main] [source/server/server.cc:1059] There is no limit.\n"
            "[2026-11-23 20:16:51.000][7780][critical][main] [source/server/server.cc:421] error initializing\n"
            "[2026-11-23 20:16:51.001][7780][warning][main] [source/server/server.cc:1028] caught ENVOY_SIGTERM\n",
            "error initializing",
        ),
    ],
)
def test_the_cause_is_the_last_error(log: str, expected: str) -> None:
    """Warnings and shut-down messages do not hide what went wrong."""
    assert cause(log) == expected


def test_the_text_is_the_data() -> None:
    """Comments aside, the YAML says what was built, the order of fields included."""
    data = bootstrap(GatewaySettings(), endpoints=FileEndpoints(path="/a/b"), access_log="/log")

    assert json.dumps(yaml.safe_load(to_yaml(data))) == json.dumps(data)
