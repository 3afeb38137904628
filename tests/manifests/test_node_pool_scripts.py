"""The commands for node pools, run by bash with stand-ins for the clouds' tools that note how they are called."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from flyball.manifests import side_files
from service_designs import MATRIX

NOTE = """\
#!/bin/sh
echo "$0 $*" >> "$NOTES/calls"
case "$*" in *"-f -") cat > "$NOTES/$(ls "$NOTES" | wc -l).yaml" ;; esac
"""


def run(name: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the script of a design in bash; the notes are in `folder`."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    tools = folder / "tools"
    tools.mkdir()
    for tool in ("gcloud", "eksctl"):
        (tools / tool).write_text(NOTE)
        (tools / tool).chmod(0o755)
    notes = folder / "notes"
    notes.mkdir()
    path = {"PATH": f"{tools}:/usr/bin:/bin", "NOTES": str(notes), **environment}
    script = side_files(MATRIX[name])["node-pools.sh"]
    return subprocess.run([bash], input=script, env=path, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("name", "pools"), [("gke", 2), ("gke, four GPUs", 1)])
def test_gke(name: str, pools: int, tmp_path: Path) -> None:
    """One call a pool, each a whole command."""
    done = run(name, tmp_path, REGION="europe-west4")

    assert (done.returncode, done.stderr) == (0, "")
    calls = (tmp_path / "notes" / "calls").read_text().splitlines()
    assert len(calls) == pools
    assert all("--cluster prod --region europe-west4 --machine-type" in call for call in calls)


def test_eks(tmp_path: Path) -> None:
    """What eksctl reads is YAML with the region filled in."""
    done = run("eks", tmp_path, REGION="eu-central-1")

    assert (done.returncode, done.stderr) == (0, "")
    configs = [yaml.safe_load(path.read_text()) for path in sorted((tmp_path / "notes").glob("*.yaml"))]
    assert [config["managedNodeGroups"][0]["name"] for config in configs] == ["chat-on-demand", "chat-spot"]
    assert {config["metadata"]["region"] for config in configs} == {"eu-central-1"}


def test_without_a_region(tmp_path: Path) -> None:
    """Nothing is created, and it says what to set."""
    done = run("gke", tmp_path)

    assert done.returncode != 0
    assert "REGION" in done.stderr
    assert "set REGION to the region of the cluster" in done.stderr
    assert not (tmp_path / "notes" / "calls").exists()
