"""`flyball render` on the command line."""

from pathlib import Path

import pytest
import yaml

from flyball.cli.manifest_folder import KUSTOMIZATION, MARK, write_folder
from flyball.cli.render import render
from flyball.errors import UsageError

SPEC = """
name: chat
model: {id: meta-llama/Llama-3.1-8B-Instruct, revision: 0e9e39f249a16976918f6564b8830bc894c89659}
slo: {ttft: {p95: 1s}, tpot: {p95: 100ms}}
workload: {arrivals: {poisson: 1}, peak: 20}
hardware: {cloud: aws, accelerators: [L40S]}
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLYBALL_HOME", str(tmp_path / "home"))
    path = tmp_path / "chat.yaml"
    path.write_text(SPEC)
    return path


def test_objects_go_to_standard_output_and_objections_to_the_other(
    spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What can be piped into kubectl is nothing but the objects; what a reviewer would object to is beside it."""
    assert render(spec) == 0
    printed = capsys.readouterr()
    kinds = [each["kind"] for each in yaml.safe_load_all(printed.out)]

    assert {"Namespace", "Deployment", "ScaledObject", "NetworkPolicy", "PodMonitor"} <= set(kinds)
    assert "has no digest" in printed.err
    assert "kubernetes.cluster" in printed.err


@pytest.mark.long
def test_a_folder_can_be_applied_with_kustomize_and_rendered_again(spec: Path, tmp_path: Path) -> None:
    """Each object is in one file that the kustomization names; a second render writes the same."""
    folder = tmp_path / "out"
    assert render(spec, output="dir", to=folder) == 0
    first = {path.name: path.read_text() for path in folder.iterdir()}
    resources = yaml.safe_load(first[KUSTOMIZATION])["resources"]

    assert all(MARK in text for text in first.values())
    assert set(resources) < first.keys()
    assert "README.md" not in resources
    assert render(spec, output="dir", to=folder) == 0
    assert {path.name: path.read_text() for path in folder.iterdir()} == first


def test_what_flyball_did_not_write_is_left_alone(spec: Path, tmp_path: Path) -> None:
    """A file of that name that someone else wrote is refused, before anything is written; other files stay."""
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "notes.yaml").write_text("mine\n")
    (folder / "engine.yaml").write_text("mine too\n")
    with pytest.raises(UsageError, match=r"engine.yaml was not written by flyball"):
        render(spec, output="dir", to=folder)
    assert {path.name for path in folder.iterdir()} == {"notes.yaml", "engine.yaml"}
    (folder / "engine.yaml").unlink()
    assert render(spec, output="dir", to=folder) == 0
    assert (folder / "notes.yaml").read_text() == "mine\n"


def test_what_is_no_longer_rendered_goes(tmp_path: Path) -> None:
    """A file of an earlier render that this one does not have would be applied by nobody and confuse everybody."""
    write_folder(tmp_path, {"old.yaml": f"# {MARK}\n", "both.yaml": f"# {MARK}\n"})
    assert write_folder(tmp_path, {"both.yaml": f"# {MARK}\nnew\n"}) == ["both.yaml"]
    assert [path.name for path in tmp_path.iterdir()] == ["both.yaml"]


def test_without_a_plan_the_answer_is_no(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An objective that nothing meets: exit code 1, the numbers that forbid it, and nothing to apply."""
    spec.write_text(SPEC.replace("tpot: {p95: 100ms}", "tpot: {p95: 1ms}"))
    assert render(spec) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "idle server" in printed.err


def test_the_key_comes_from_the_environment(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the variable nothing is rendered; with it the key is in one file, which only its owner may read."""
    spec.write_text(SPEC + "gateway: {api_key_env: CHAT_KEY}\n")
    with pytest.raises(UsageError, match="CHAT_KEY is not set"):
        render(spec)
    monkeypatch.setenv("CHAT_KEY", "sk-golden-key")
    folder = tmp_path / "out"
    assert render(spec, output="dir", to=folder) == 0
    holders = [path for path in folder.iterdir() if "sk-golden-key" in path.read_text()]
    assert [path.name for path in holders] == ["secrets.yaml"]
    assert holders[0].stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("output", "to"), [("dir", None), ("yaml", Path("out"))])
def test_a_folder_needs_its_option(spec: Path, output: str, to: Path | None) -> None:
    """`-o dir` without `--to`, or the reverse, is wrong usage."""
    with pytest.raises(UsageError, match="belong together"):
        render(spec, output=output, to=to)  # type: ignore[arg-type]
