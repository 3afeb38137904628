"""Every PromQL query in the documents: KEDA triggers, adapter rules, alerts, recording rules, dashboards."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from flyball.lint.adapter import AdapterRule
from flyball.lint.node import Node
from flyball.lint.parsing import parse_embedded
from flyball.lint.promql import Expression, parse_promql
from flyball.lint.reading import DASHBOARD, RULE_FILE, KubernetesObject
from flyball.lint.scaler import Scaler, Signal

Origin = Literal["trigger", "adapter", "alert", "record", "dashboard"]
_TOPICS = ("vllm", "DCGM_")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Query:
    """One query about vLLM or its GPUs."""

    object: KubernetesObject
    node: Node
    origin: Origin
    text: str
    expression: Expression | None
    """None if it could not be parsed."""
    versions: tuple[str, ...]
    """The vLLM versions that it has to work with."""
    scaler: Scaler | None = None
    signal: Signal | None = None
    rule: AdapterRule | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A query's text before it is known which engines it is about."""

    node: Node
    origin: Origin


def located_queries(each: KubernetesObject) -> Iterator[Located]:
    """The queries of rule files and dashboards, in resources of their own or in ConfigMaps."""
    match each.kind:
        case "PrometheusRule" | "VMRule":
            yield from _rule_queries(each.spec)
        case "GrafanaDashboard":
            yield from _embedded(each.spec.at("json"))
        case "ConfigMap":
            for _, value in each.root.at("data").entries():
                yield from _embedded(value)
        case kind if kind == RULE_FILE:
            yield from _rule_queries(each.root)
        case kind if kind == DASHBOARD:
            yield from _panel_queries(each.root)


def _embedded(text: Node) -> Iterator[Located]:
    if not any(topic in text.text for topic in _TOPICS) or "expr" not in text.text:
        return
    root = parse_embedded(text).root
    if root is None:
        return
    yield from _rule_queries(root)
    yield from _panel_queries(root)


def _rule_queries(root: Node) -> Iterator[Located]:
    for group in root.at("groups").items():
        for rule in group.at("rules").items():
            if rule.at("expr").exists:
                yield Located(node=rule.at("expr"), origin="alert" if rule.at("alert").exists else "record")


def _panel_queries(root: Node) -> Iterator[Located]:
    """Panels, the panels of rows, and dashboards that are wrapped in `dashboard`."""
    for panel in (*root.at("panels").items(), *root.at("dashboard", "panels").items()):
        for target in panel.at("targets").items():
            if target.at("expr").text:
                yield Located(node=target.at("expr"), origin="dashboard")
        yield from _panel_queries(panel)


def is_about_serving(text: str) -> bool:
    return any(topic in text for topic in _TOPICS)


def query_from(located: Located, *, within: KubernetesObject, versions: tuple[str, ...]) -> Query:
    text = located.node.text
    return Query(
        object=within,
        node=located.node,
        origin=located.origin,
        text=text,
        expression=parse_promql(text),
        versions=versions,
    )
