"""docs/cluster.md's sessions, run against an API server in memory. UPDATE_GOLDEN=1 writes them anew."""

import os
from pathlib import Path

import pytest

from fake_apiserver import FakeApiServer
from flyball.cli.main import run
from plain_service import NAMESPACE, service, write

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"
SERVER = "https://203.0.113.7:6443"
"""What the page shows instead of the port of this machine."""


def test_sessions(
    live_server: FakeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Apply to an empty cluster, then a colleague changes the image by hand: diff shows it, status the rollout."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(live_server.kubeconfig(tmp_path / "config", context="prod")))
    write(Path("rendered.yaml"), service())

    codes = [_session("apply --manifests rendered.yaml --yes", live_server, capsys)]
    live = live_server.store.get("Deployment", "chat-engine", NAMESPACE)
    assert live is not None
    live["spec"]["template"]["spec"]["containers"][0]["image"] = "vllm:latest"
    live_server.store.put(live, manager="kubectl-set")
    codes += [_session(f"{verb} --manifests rendered.yaml", live_server, capsys) for verb in ("diff", "status")]

    assert codes == [0, 1, 1]


def _session(command: str, server: FakeApiServer, capsys: pytest.CaptureFixture[str]) -> int:
    code = run(command.split())
    printed = capsys.readouterr()
    said = (printed.err.partition("\n")[0] + "\n" + printed.out + printed.err.partition("\n")[2]).replace(
        server.url, SERVER
    )
    before, line, rest = PAGE.read_text().partition(f"$ flyball {command}\n")
    shown, fence, after = rest.partition("```")
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(before + line + said + fence + after)
    else:
        assert shown == said
    return code
