"""`flyball lint`: the known ways to get vLLM on Kubernetes wrong, found in anyone's manifests."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from flyball import __version__
from flyball.cli.spec_file import read_text
from flyball.errors import UsageError
from flyball.lint import (
    RULE_INFOS,
    SEVERITIES,
    Finding,
    LintReport,
    LintSettings,
    RuleInfo,
    Severity,
    SourceDocument,
    json_row,
    lint_report,
    sarif,
    text_lines,
)

_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_PLURALS = {"error": "errors", "warning": "warnings", "info": "notes"}


def lint(
    *paths: Annotated[str, Parameter(allow_leading_hyphen=True)],
    vllm: Annotated[str | None, Parameter(name="--vllm")] = None,
    accelerator: str | None = None,
    severity: Severity = "info",
    rules: Annotated[bool, Parameter(negative="")] = False,
    output: Annotated[Literal["text", "json", "sarif"], Parameter(name=["--output", "-o"])] = "text",
) -> int:
    """Check Kubernetes manifests of vLLM: drains, probes, autoscalers, queries, memory, security.

    Exit code 1 if there is an error (warnings are allowed), 2 if a document could not be read.

    Parameters
    ----------
    paths
        Files, folders (every .yaml, .yml and .json in them) or - for standard input; all are read together.
    vllm
        The vLLM version, instead of what the image's tag says.
    accelerator
        The GPU, where no node selector names it: A10G, H100.
    severity
        Show findings from this severity on: error, warning or info.
    rules
        List the rules instead.
    output
        text: by file; json: an array of findings; sarif: SARIF 2.1.0 for code scanners.

    """
    if rules:
        _print_rules(RULE_INFOS, output)
        return 0
    if not paths:
        raise UsageError("nothing to lint", fix="name files or folders, or - for standard input")
    documents = [document for path in paths for document in _documents(path)]
    unique = list({document.name: document for document in documents}.values())
    report = lint_report(unique, LintSettings(vllm_version=vllm, accelerator=accelerator))
    if not report.manifests.objects and not report.has_broken_documents:
        raise UsageError(f"no Kubernetes object in {', '.join(paths)}", fix="name manifests, or render the chart first")
    shown = [each for each in report.findings if SEVERITIES.index(each.severity) <= SEVERITIES.index(severity)]
    _print(shown, output)
    print(_summary(report, len(unique)), file=sys.stderr)
    if report.has_broken_documents:
        return 2
    return 1 if any(finding.severity == "error" for finding in report.findings) else 0


def _documents(path: str) -> Iterator[SourceDocument]:
    if path == "-":
        try:
            yield SourceDocument(name="stdin", text=sys.stdin.buffer.read().decode("utf-8"))
        except UnicodeDecodeError as error:
            raise UsageError(f"standard input is not UTF-8 (byte {error.start})", fix="pipe text into it") from None
        return
    if path.startswith("-"):
        raise UsageError(f"unknown option {path}", fix="`flyball lint --help` lists the options")
    if not Path(path).exists():
        raise UsageError(f"{path}: no such file or folder", fix="check the path")
    if not Path(path).is_dir():
        yield SourceDocument(name=path, text=read_text(Path(path)))
        return
    files = list(_files(Path(path)))
    if not files:
        raise UsageError(f"{path}: no .yaml, .yml or .json file in it", fix="name the files")
    for file in files:
        yield SourceDocument(name=str(file), text=read_text(file))


def _files(folder: Path) -> Iterator[Path]:
    """Sorted, without hidden folders, and without the templates of charts: they are no YAML until Helm renders them."""
    is_chart = (folder / "Chart.yaml").exists()
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink() and not entry.name.startswith("."):
            if is_chart and entry.name == "templates":
                print(f"{entry} skipped: `helm template {folder} | flyball lint -` checks it", file=sys.stderr)
            else:
                yield from _files(entry)
        elif entry.is_file() and entry.suffix in _SUFFIXES:
            yield entry


def _print(findings: list[Finding], output: str) -> None:
    if output == "sarif":
        print(json.dumps(sarif(findings, rules=RULE_INFOS, version=__version__), indent=2))
    elif output == "json":
        print("[\n" + ",\n".join(json.dumps(json_row(finding)) for finding in findings) + "\n]")
    else:
        for line in text_lines(findings):
            print(line)


def _summary(report: LintReport, files: int) -> str:
    engines, objects = len(report.manifests.engines), len(report.manifests.objects)
    counts = {severity: sum(each.severity == severity for each in report.findings) for severity in SEVERITIES}
    found = ", ".join(_count(number, severity, _PLURALS[severity]) for severity, number in counts.items() if number)
    parts = [_count(files, "file"), _count(objects, "object"), _count(engines, "vLLM server")]
    silenced = f", {report.suppressed} silenced" if report.suppressed else ""
    hint = "" if engines else "\nno vLLM server was recognised: an image vllm/vllm-openai, or the command vllm serve"
    return f"{', '.join(parts)}: {found or 'no findings'}{silenced}{hint}"


def _count(number: int, noun: str, plural: str = "") -> str:
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def _print_rules(infos: tuple[RuleInfo, ...], output: str) -> None:
    if output == "json":
        rows = [{key: getattr(info, key) for key in ("id", "severity", "finds", "why", "reference")} for info in infos]
        print("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]")
    elif output == "sarif":
        print(json.dumps(sarif([], rules=infos, version=__version__), indent=2))
    else:
        width = max(len(info.id) for info in infos)
        for info in infos:
            print(f"{info.id:<{width}}  {info.severity:<7}  {info.finds}")
