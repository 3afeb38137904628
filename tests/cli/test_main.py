import json
from pathlib import Path

import pytest

from flyball.cli.main import app, run
from flyball.spec import ServingSpec, parse_model


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    """Each verb can be loaded and stands in the help with what it does."""
    assert run(["--help"]) == 0
    listed = capsys.readouterr().out

    verbs = [name for name in app if not name.startswith("-")]
    assert {"init", "schema", "catalog", "memory", "calibrate", "replay", "engine", "up", "bench", "prove"} <= set(
        verbs
    )
    for verb in verbs:
        assert verb in listed
        assert run([verb, "--help"]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bogus"], "bogus"),
        (["prove"], "spec"),
        (["prove", "no-such.yaml"], "no-such.yaml: no such file"),
        (["up", "no-such.yaml", "--port", "x"], "--port"),
        (["replay", "a.json", "-o", "xml"], "xml"),
    ],
)
def test_wrong_usage_is_two_lines_and_exit_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong stands in the first line, what to do in the second, and nothing on standard output."""
    assert run(arguments) == 2

    out, err = capsys.readouterr()
    first, second = err.splitlines()
    assert out == ""
    assert first.startswith("flyball: ")
    assert words in first
    assert second.startswith("  ")


def test_init_writes_a_valid_spec_and_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file reads back as a spec; a second init leaves it alone unless forced."""
    path = tmp_path / "chat.yaml"

    assert run(["init", str(path), "--model", "org/model", "--name", "code"]) == 0
    spec = parse_model(ServingSpec, path.read_text(), source="chat.yaml")
    assert (spec.name, spec.model.id) == ("code", "org/model")

    path.write_text("mine")
    assert run(["init", str(path)]) == 2
    assert path.read_text() == "mine"
    assert run(["init", str(path), "--force"]) == 0
    assert "model:" in path.read_text()


def test_init_refuses_a_bad_name_before_it_writes(tmp_path: Path) -> None:
    """A name that Kubernetes would not take leaves no file behind."""
    assert run(["init", str(tmp_path / "x.yaml"), "--name", "Bad_Name"]) == 2
    assert not (tmp_path / "x.yaml").exists()


def test_schema_is_json_schema_of_the_spec(capsys: pytest.CaptureFixture[str]) -> None:
    """The printed document is JSON, forbids unknown keys and requires the model alone."""
    assert run(["schema"]) == 0
    document = json.loads(capsys.readouterr().out)

    assert document["required"] == ["model"]
    assert document["additionalProperties"] is False


def test_the_example_is_valid() -> None:
    """The spec that `make demo` proves reads without a complaint."""
    path = Path(__file__).parent.parent.parent / "examples" / "local.yaml"

    assert parse_model(ServingSpec, path.read_text(), source=path.name).scaling.max == 3
