"""What `flyball lint` prints, its exit codes, and the page of rules."""

import io
import json
from pathlib import Path

import jsonschema
import pytest

from flyball import __version__
from flyball.cli.lint import lint as lint_command
from flyball.errors import UsageError
from flyball.lint import RULE_INFOS, RULES, SourceDocument, lint, rule_page, sarif

DATA = Path(__file__).parent / "data"
PAGE = Path(__file__).parent.parent.parent / "docs" / "lint.md"
SCHEMA = json.loads((DATA / "sarif-2.1.0.json").read_text())


def guide() -> str:
    return (DATA / "guide" / "pipeline.yaml").read_text()


def check_sarif(log: object) -> None:
    jsonschema.Draft4Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(log)


@pytest.mark.parametrize("name", ["guide/pipeline.yaml", "with space/ü.yaml", "/etc/a b.yaml", "stdin"])
def test_sarif_is_valid(name: str) -> None:
    """The log follows the OASIS schema, and each result points to its rule, its file and its line."""
    documents = [SourceDocument(name=name, text=guide()), SourceDocument(name="broken.yaml", text="a: [")]
    findings = lint(documents)
    log = sarif(findings, rules=RULE_INFOS, version=__version__)

    check_sarif(log)
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [result["ruleId"] for result in run["results"]] == [finding.rule for finding in findings]
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])
    lines = [result["locations"][0]["physicalLocation"]["region"]["startLine"] for result in run["results"]]
    assert lines == [finding.place.line for finding in findings]
    assert {result["level"] for result in run["results"]} == {"error", "warning", "note"}


def test_the_schema_would_object() -> None:
    """The oracle is none if it accepts anything: a log with a wrong level or an unknown property is refused."""
    log = sarif(lint([SourceDocument(name="a.yaml", text=guide())]), rules=RULE_INFOS, version="1")
    log["runs"][0]["results"][0]["level"] = "fatal"

    with pytest.raises(jsonschema.ValidationError):
        check_sarif(log)
    with pytest.raises(jsonschema.ValidationError):
        check_sarif({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}, "finding": 1}]})


def test_text_tells_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """Under the file: the line, severity, rule, place, reason and fix; the counts go to the error stream."""
    code = lint_command(str(DATA / "guide"))

    printed, talk = capsys.readouterr()
    assert code == 1
    assert printed.startswith(f"{DATA / 'guide' / 'pipeline.yaml'}\n")
    assert (
        "  7: error replicas-under-autoscaler: replicas: 1, while HorizontalPodAutoscaler vllm scales it\n" in printed
    )
    assert "      at   Deployment vllm spec.replicas: 1\n" in printed
    assert "      why  every apply sets the replicas back" in printed
    assert "      fix  remove replicas\n" in printed
    assert talk.startswith("1 file, 5 objects, 1 vLLM server: ")


def test_json_rows(capsys: pytest.CaptureFixture[str]) -> None:
    """An array with a flat object for each finding."""
    code = lint_command(str(DATA / "flawed" / "cloud-recipe.yaml"), output="json", severity="error")

    rows = json.loads(capsys.readouterr().out)
    assert code == 1
    assert [row["rule"] for row in rows] == ["percentile-average-value"]
    assert rows[0]["key_path"] == "spec.triggers[1].metadata.query"
    assert all(rows[0][key] for key in ("file", "line", "kind", "message", "evidence", "why", "fix", "reference"))


def test_sarif_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """`-o sarif` prints one valid log, also when nothing is found."""
    assert lint_command(str(DATA / "good"), output="sarif") == 0

    check_sarif(json.loads(capsys.readouterr().out))


def test_severity_hides_but_does_not_excuse(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`--severity` hides what is less severe; the exit code is that of the errors, and warnings alone are allowed."""
    file = tmp_path / "a.yaml"
    text = (DATA / "good" / "scaling.yaml").read_text()
    file.write_text(text.replace('        ignoreNullValues: "false"\n', ""))

    assert lint_command(str(file), severity="error") == 0
    assert capsys.readouterr().out == ""
    assert lint_command(str(file)) == 0
    assert "ignore-null-values" in capsys.readouterr().out


def test_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` reads the standard input, which findings call stdin."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(guide().encode())))

    assert lint_command("-", output="json") == 1
    assert {row["file"] for row in json.loads(capsys.readouterr().out)} == {"stdin"}


def test_broken_input_is_reported_beside_the_rest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A file that cannot be read makes the exit code 2, and the other files' findings are printed all the same."""
    (tmp_path / "a.yaml").write_text("kind: [\n")
    (tmp_path / "b.yaml").write_text(guide())

    assert lint_command(str(tmp_path)) == 2
    printed = capsys.readouterr().out
    assert "broken-yaml" in printed
    assert "trust-remote-code" in printed


def test_folders(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A folder's YAML and JSON is read to any depth, without hidden folders and without templates of charts."""
    for name in ("a.yaml", "deep/er/b.yml", "c.json", ".git/d.yaml", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('{"kind": "Pod", "apiVersion": "v1"}')
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("name: x\n")
    (chart / "templates" / "x.yaml").write_text("{{ broken }}")

    assert lint_command(str(tmp_path), str(tmp_path / "a.yaml")) == 0
    talk = capsys.readouterr().err
    assert "4 files, 3 objects" in talk
    assert "templates skipped: `helm template" in talk


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"- just\n- a list\n", b""])
def test_unusable_input(content: bytes | None, tmp_path: Path) -> None:
    """A file that is missing, that is no text, or in which there is nothing to lint is a usage error."""
    file = tmp_path / "a.yaml"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(UsageError):
        lint_command(str(file))


@pytest.mark.parametrize("arguments", [(), ("--nonsense",), ("no/such/folder",)])
def test_unusable_arguments(arguments: tuple[str, ...]) -> None:
    """No path, a misspelt option and a path to nothing are usage errors."""
    with pytest.raises(UsageError):
        lint_command(*arguments)


def test_a_folder_without_manifests(tmp_path: Path) -> None:
    """An empty folder is a usage error: a check that checked nothing must not pass."""
    with pytest.raises(UsageError):
        lint_command(str(tmp_path))


def test_rules_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """`--rules` lists every rule with its severity, as text and as JSON."""
    assert lint_command(rules=True) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lint_command(rules=True, output="json") == 0
    rows = json.loads(capsys.readouterr().out)

    assert [line.split()[0] for line in lines] == [info.id for info in RULE_INFOS] == [row["id"] for row in rows]


def test_rule_page_is_current() -> None:
    """docs/lint.md is what the rules say."""
    write = "python -c 'from flyball.lint import rule_page; print(rule_page(), end=str())' > docs/lint.md"

    assert PAGE.read_text() == rule_page(), f"run: {write}"


def test_rules_are_described_alike() -> None:
    """Ids are unique, and each rule has its own noun phrase, reason and source, each in one line."""
    infos = [rule.info for rule in RULES]

    assert len({info.id for info in RULE_INFOS}) == len(RULE_INFOS)
    assert len({info.finds for info in infos}) == len(infos)
    assert [info.id for info in infos if info.finds.endswith(".") or info.why.endswith(".")] == []
    assert [info.id for info in infos if "\n" in info.finds + info.why + info.reference or not info.reference] == []
