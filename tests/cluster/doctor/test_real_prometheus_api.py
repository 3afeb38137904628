"""The doctor's questions put to a real Prometheus that scrapes two replicas' metrics as a PodMonitor makes it."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
import yaml

from flyball.cli.main import run
from flyball.processes import free_port
from sound_cluster import DATA, PODS

EXPOSITION = (DATA.parents[2] / "measurement" / "data" / "vllm-0.32.0-busy.txt").read_bytes()
IN_SYSTEM = 8 + 4
"""Running and waiting requests in that exposition."""
POOL = "podMonitor/llm/chat-engine/0"
PATIENCE = 150
"""Tenths of a second until Prometheus has scraped both targets."""
Captured = pytest.CaptureFixture[str]
pytestmark = pytest.mark.long  # a Prometheus starts and scrapes


class Metrics(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' name
        """Silence."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(EXPOSITION)))
        self.end_headers()
        self.wfile.write(EXPOSITION)


@pytest.fixture(scope="module")
def engines() -> Iterator[int]:
    """The port at which what a busy vLLM exported can be scraped."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def real_prometheus(engines: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that has both replicas' series, and one target that is down."""
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("prometheus is not installed (Debian: apt-get install prometheus)")
    folder = tmp_path_factory.mktemp("prometheus")
    address = f"127.0.0.1:{engines}"
    targets = [{"targets": [address], "labels": {"namespace": "llm", "pod": pod}} for pod in PODS]
    job = {
        "job_name": POOL,
        "static_configs": targets,
        "relabel_configs": [{"target_label": "job", "replacement": "chat-engine"}],
    }
    config = {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [job]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    listen = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [binary, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
         f"--web.listen-address={listen}", "--log.level=error"],
    )  # fmt: skip
    try:
        wait_for_scrapes(f"http://{listen}", process)
        yield f"http://{listen}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def wait_for_scrapes(address: str, process: subprocess.Popen[bytes]) -> None:
    query = "count(vllm:num_requests_running) == 2"
    with httpx2.Client() as client:
        for _ in range(PATIENCE):
            assert process.poll() is None
            try:
                answer = client.get(f"{address}/api/v1/query", params={"query": query})
                if answer.json()["data"]["result"]:
                    return
            except (httpx2.HTTPError, ValueError, KeyError):
                pass  # it is not listening yet, or still replays its log
            threading.Event().wait(0.1)
    pytest.fail("Prometheus has not scraped both targets")


def test_sound_in_a_real_prometheus(arguments: list[str], real_prometheus: str, capsys: Captured) -> None:
    """Every question is PromQL that a real Prometheus answers: series, targets and the query are found sound."""
    assert run([*arguments, "--prometheus", real_prometheus, "-o", "json"]) == 0

    links = {link["id"]: link for link in json.loads(capsys.readouterr().out)["links"]}
    assert {each for each, link in links.items() if link["state"] != "ok"} == {"dcgm"}
    assert links["query"]["answer"] == f"it returns {2 * IN_SYSTEM:g}"
    assert links["dcgm"]["symptoms"][0]["answered"] == "none of them"  # no exporter is scraped there


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """A change of the rendered query, the link that it breaks, and what the answer must say."""

    old: str
    new: str
    link: str
    says: str


WRONG = (
    Wrong(
        old='job="chat-engine"',
        new='job="chat"',
        link="scraped",
        says="2 of that name, and the label job is chat-engine",
    ),
    Wrong(
        old="vllm:num_requests_waiting",
        new="vllm:num_requests_swapped",
        link="scraped",
        says="no series is called vllm:num_requests_swapped",
    ),
    Wrong(old="sum(last_over_time", new="(last_over_time", link="query", says="2 values: KEDA ends with"),
    Wrong(
        old="sum(last_over_time",
        new="sum(lust_over_time",
        link="query",
        says='unknown function with name "lust_over_time"',
    ),
    Wrong(old="sum(last_over_time", new="0 * sum(0 / 0 * last_over_time", link="query", says="nan"),
)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.new)
def test_broken_in_a_real_prometheus(
    arguments: list[str], real_prometheus: str, tmp_path: Path, capsys: Captured, wrong: Wrong
) -> None:
    """A wrong query is told apart by what a real Prometheus answers: label, name, aggregation, syntax, value."""
    text = (DATA / "rendered.yaml").read_text()
    assert wrong.old in text
    (tmp_path / "objects.yaml").write_text(text.replace(wrong.old, wrong.new))
    arguments[arguments.index("--manifests") + 1] = str(tmp_path / "objects.yaml")

    assert run([*arguments, "--prometheus", real_prometheus]) == 1

    out = capsys.readouterr().out
    assert f"first broken link: {wrong.link}" in out
    assert wrong.says in out
