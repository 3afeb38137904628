"""Rules of the Prometheus Adapter, in a ConfigMap or in the chart's values: which query an HPA's metric comes from."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from flyball.lint.node import Node
from flyball.lint.parsing import parse_embedded
from flyball.lint.promql import Expression, Selector, parse_promql
from flyball.lint.reading import ADAPTER_VALUES, KubernetesObject

_SERIES = "<<.Series>>"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdapterRule:
    """One entry of `rules` or `externalRules`."""

    object: KubernetesObject
    node: Node
    is_external: bool

    @property
    def series_query(self) -> Node:
        return self.node.at("seriesQuery")

    @property
    def metrics_query(self) -> Node:
        return self.node.at("metricsQuery")

    @property
    def series(self) -> str:
        """The one series that `seriesQuery` names; empty if it is a pattern."""
        selector = parse_promql(self.series_query.text)
        return selector.name if isinstance(selector, Selector) else ""

    @property
    def expression(self) -> Expression | None:
        """`metricsQuery` with `<<.Series>>` filled in."""
        return parse_promql(self.query)

    @property
    def query(self) -> str:
        return self.metrics_query.text.replace(_SERIES, self.series) if self.series else self.metrics_query.text

    @property
    def metric(self) -> str:
        """The name under which the HPA asks for it; empty if it depends on series that are not named here."""
        matches, written = self.node.at("name", "matches").text, self.node.at("name", "as").text
        if not self.series or not (matches or written):
            return re.sub(r"(?:_seconds)?_total$", "", self.series)
        try:
            pattern = re.compile(matches or ".*")
            found = pattern.search(self.series)
            template = written or ("$1" if pattern.groups else "$0")
            return re.sub(r"\$\{?(\d+)\}?", lambda group: found[int(group[1])] if found else "", template)
        except (re.error, IndexError):
            return ""


def adapter_rules(each: KubernetesObject) -> Iterator[AdapterRule]:
    if each.kind == ADAPTER_VALUES:
        rules = each.root.at("rules")
        yield from _rules(each, rules, is_external=False)
        yield from _rules(each, rules.at("custom"), is_external=False)
        yield from _rules(each, rules.at("external"), is_external=True)
    elif each.kind == "ConfigMap":
        for _, value in each.root.at("data").entries():
            if "seriesQuery" not in value.text:
                continue
            root = parse_embedded(value).root
            if root is not None:
                yield from _rules(each, root.at("rules"), is_external=False)
                yield from _rules(each, root.at("externalRules"), is_external=True)


def _rules(each: KubernetesObject, rules: Node, *, is_external: bool) -> Iterator[AdapterRule]:
    for rule in rules.items():
        if rule.at("seriesQuery").exists:
            yield AdapterRule(object=each, node=rule, is_external=is_external)
