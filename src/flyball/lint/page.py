"""The rule page of the documentation, written from the rules themselves."""

from collections.abc import Iterator, Sequence

from flyball.lint.finding import RuleInfo
from flyball.lint.rule_set import DOCUMENT_RULES, THEMES

_HEAD = """\
# Lint rules

`flyball lint PATH...` reads Kubernetes YAML or JSON and reports the known ways to get vLLM on Kubernetes wrong.
A path is a file, a folder (every `.yaml`, `.yml` and `.json` in it) or `-` for the standard input.
All files of one call are read together: a rule can relate an autoscaler to its Deployment, and a query to the vLLM
version that it asks.
Besides objects it reads Prometheus rule files, Grafana dashboards (also in ConfigMaps) and values of the Prometheus
Adapter's chart.
Charts must be rendered first: `helm template . | flyball lint -`.

An error breaks something known, a warning risks it, information is worth a look.
The exit code is 1 if there is an error, 2 if a document could not be read, otherwise 0.
`--severity` hides what is less severe, `-o json` and `-o sarif` are for programs.
`--vllm` overrides the version in the image's tag; `--accelerator` names the GPU where no node selector does.

A comment on the line of a finding, or alone on the line above, silences it: `# flyball: ignore[rule-id] reason`.
The annotation `flyball.dev/ignore: rule-id, other-rule-id` silences rules for a whole object.
"""


def rule_page() -> str:
    """Markdown: how to use the linter and a table of rules for each theme."""
    return "\n".join((_HEAD, *_sections()))


def _sections() -> Iterator[str]:
    for theme, rules in THEMES:
        yield from _table(theme, [rule.info for rule in rules])
    yield from _table("Documents", DOCUMENT_RULES)


def _table(theme: str, infos: Sequence[RuleInfo]) -> Iterator[str]:
    yield f"## {theme}\n"
    yield "| rule | severity | finds | because | known from |"
    yield "| --- | --- | --- | --- | --- |"
    for info in infos:
        cells = (f"`{info.id}`", info.severity, info.finds, info.why, info.reference)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield ""
