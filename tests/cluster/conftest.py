"""An API server in memory, a kubeconfig for it, a connection to it, and the command line against it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster_verbs import Answer, Flyball
from fake_apiserver import FakeApiServer
from fake_apiserver_controllers import autoscalers, deployments, jobs, keda, volumes
from flyball.cli.main import run
from flyball.cluster.api_server import ApiServer
from flyball.cluster.connection import connect
from plain_service import SPEC, service, write


@pytest.fixture(autouse=True)
def _look_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what a verb watches does not change, but what it waits for does."""
    monkeypatch.setattr("flyball.cluster.waiting._LOOK_AGAIN_S", 1)


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as fake:
        yield fake


@pytest.fixture
def live_server(server: FakeApiServer) -> FakeApiServer:
    """With controllers: what is applied becomes ready."""
    server.store.reactions += [volumes(), jobs(), deployments(), keda(), autoscalers()]
    return server


@pytest.fixture
def kubeconfig(server: FakeApiServer, tmp_path: Path) -> Path:
    return server.kubeconfig(tmp_path / "kubeconfig")


@pytest.fixture
def api(kubeconfig: Path) -> Iterator[ApiServer]:
    with connect(kubeconfig=kubeconfig) as connection:
        yield connection


@pytest.fixture
def flyball(kubeconfig: Path, capsys: pytest.CaptureFixture[str]) -> Flyball:
    """Runs a verb against the fake API server."""

    def call(*arguments: Any) -> Answer:
        code = run([*map(str, arguments), "--kubeconfig", str(kubeconfig)])
        return Answer(code, *capsys.readouterr())

    return call


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """The small service's objects in a file."""
    return write(tmp_path / "manifests.yaml", service())


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A spec of the same name and namespace; status and delete need no more of it."""
    path = tmp_path / "chat.yaml"
    path.write_text(SPEC)
    return path
