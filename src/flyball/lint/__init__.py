"""Finds the known ways to get vLLM on Kubernetes wrong, in anyone's manifests.

Pure: text in, findings out. `lint` reads any Kubernetes YAML or JSON (Helm's output, `kubectl get -o yaml`, Prometheus
rule files, Grafana dashboards, values of the Prometheus Adapter), relates the objects to each other, and applies every
rule to all of them together. A rule says what is wrong with the numbers of the case, why it matters and what to write
instead. Rules that know vLLM's flags and metrics ask `flyball.catalog` about the version that the image names.
"""

from flyball.lint.finding import SEVERITIES, Finding, Place, RuleInfo, Severity
from flyball.lint.formats import json_row, sarif, text_lines
from flyball.lint.linting import LintReport, lint, lint_report
from flyball.lint.manifests import LintSettings
from flyball.lint.page import rule_page
from flyball.lint.reading import SourceDocument
from flyball.lint.rule import Rule
from flyball.lint.rule_set import RULE_INFOS, RULES, THEMES

__all__ = [
    "RULES",
    "RULE_INFOS",
    "SEVERITIES",
    "THEMES",
    "Finding",
    "LintReport",
    "LintSettings",
    "Place",
    "Rule",
    "RuleInfo",
    "Severity",
    "SourceDocument",
    "json_row",
    "lint",
    "lint_report",
    "rule_page",
    "sarif",
    "text_lines",
]
