"""A watched service, and promtool."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from flyball.catalog import DEFAULT_RELEASE, release
from flyball.manifests.series import Series
from flyball.manifests.watch import ReplicaPrice, Watch
from flyball.spec import SLO, Percentiles

Promtool = Callable[..., str]


def watch_of(version: str = DEFAULT_RELEASE) -> Watch:
    """The service `chat` in `llm`: TTFT p95 200 ms and TPOT p95 50 ms, one replica on demand and the rest on spot."""
    return Watch(
        series=Series(name="chat", namespace="llm", release=release(version)),
        slo=SLO(ttft=Percentiles(p95=0.2), tpot=Percentiles(p95=0.05)),
        signal="in_system",
        target=24,
        autoscaler="keda-hpa-chat-engine",
        start_up_s=180,
        price=ReplicaPrice(on_demand_usd_per_hour=1.0, spot_usd_per_hour=0.4, on_demand_floor=1),
    )


@pytest.fixture
def watch() -> Watch:
    return watch_of()


@pytest.fixture(scope="session")
def watch_on() -> Callable[[str], Watch]:
    """The service on a vLLM version."""
    return watch_of


@pytest.fixture
def promtool(tmp_path: Path) -> Promtool:
    """Run `promtool` on documents, written beside each other; its output if it succeeds, an AssertionError if not."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")

    def run(*command: str, **documents: object) -> str:
        for name, document in documents.items():
            (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        done = subprocess.run([found, *command], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=50)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
