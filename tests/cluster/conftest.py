"""An API server in memory, a kubeconfig for it, and a connection to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_apiserver import FakeApiServer
from flyball.cluster.api_server import ApiServer
from flyball.cluster.connection import connect


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as fake:
        yield fake


@pytest.fixture
def kubeconfig(server: FakeApiServer, tmp_path: Path) -> Path:
    return server.kubeconfig(tmp_path / "kubeconfig")


@pytest.fixture
def api(kubeconfig: Path) -> Iterator[ApiServer]:
    with connect(kubeconfig=kubeconfig) as connection:
        yield connection
