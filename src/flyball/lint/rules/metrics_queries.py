"""Rules about PromQL: in KEDA triggers, adapter rules, alerts, recording rules and dashboards."""

from collections.abc import Iterator
from difflib import get_close_matches

from flyball.lint.metric_names import (
    GONE,
    NEVER,
    PREFIX,
    ROUTERS,
    instead_of,
    is_exported,
    is_misspelt,
    metric_of,
)
from flyball.lint.promql import Aggregation, Call, Expression, Selector, selectors, walk, words
from flyball.lint.query import Query
from flyball.lint.rule import Hit, Rule, query_rule
from flyball.lint.series import COUNTING, statistic

_METRICS_DOC = "https://docs.vllm.ai/en/latest/usage/metrics.html; the metrics of each release, read from its logger"
_ADAPTER_DOC = "kubernetes-sigs/prometheus-adapter, docs/config.md"
_DCGM = "dcgm-exporter, etc/default-counters.csv"
LABEL_MISTAKES = {
    "model": "model_name",
    "model_id": "model_name",
    "modelname": "model_name",
    "served_model_name": "model_name",
    "finish_reason": "finished_reason",
    "rank": "engine",
    "dp_rank": "engine",
    "engine_index": "engine",
}
OFF_BY_DEFAULT = frozenset(
    {"DCGM_FI_PROF_SM_ACTIVE", "DCGM_FI_PROF_SM_OCCUPANCY", "DCGM_FI_PROF_PIPE_FP16_ACTIVE",
     "DCGM_FI_PROF_PIPE_FP32_ACTIVE", "DCGM_FI_PROF_PIPE_FP64_ACTIVE", "DCGM_EXP_XID_ERRORS_COUNT",
     "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "DCGM_FI_DEV_ECC_SBE_AGG_TOTAL",
     "DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", "DCGM_FI_DEV_POWER_VIOLATION", "DCGM_FI_DEV_THERMAL_VIOLATION"}
)  # fmt: skip
"""Commented out in the DCGM exporter's default counters."""
USUAL_LABELS = ("model_name", "engine")
"""Of almost every metric of vLLM; those that are gone had them too."""
_WORKLOAD_LABELS = frozenset({"pod", "namespace", "container"})


def vllm_names(query: Query) -> Iterator[str]:
    """Every name with vLLM's prefix, or with the underscore that some write in its place."""
    names = words(query.text)
    if query.expression:
        names = {each.name for each in selectors(query.expression) if not _is_of_router(each)}
    recorded = sorted(name for name in names if name.startswith((PREFIX, "vllm_")) and name.count(":") < 2)
    yield from recorded


def _is_of_router(selector: Selector) -> bool:
    """Whether it asks for what the production-stack router re-exports under the engines' names, by its own label."""
    return any(matcher.label == "server" for matcher in selector.matchers)


@query_rule(
    "error",
    finds="a metric that this vLLM version no longer exports, or not yet",
    why="the query returns nothing: the autoscaler stands still, the panel is empty, the alert never fires",
    reference=_METRICS_DOC,
)
def dead_metric(query: Query) -> Iterator[Hit]:
    for name in vllm_names(query):
        if not is_misspelt(name) and not any(is_exported(version, name) for version in query.versions):
            says = f"vLLM {query.versions[0]} does not export {name}"
            yield Hit(at=query.node, says=says, fix=instead_of(name, query.versions[0]), evidence=name)


@query_rule(
    "error",
    finds="a metric that no vLLM version exports under this name",
    why="the query returns nothing: the autoscaler stands still, the panel is empty, the alert never fires",
    reference=_METRICS_DOC,
)
def unknown_metric(query: Query) -> Iterator[Hit]:
    for name in vllm_names(query):
        if name.startswith(PREFIX) and is_misspelt(name):
            says = f"no vLLM version exports {name}"
            yield Hit(at=query.node, says=says, fix=instead_of(name, query.versions[0]), evidence=name)
        elif _has_underscore_prefix(name, query.versions[0]):
            says = f"{name}: vLLM's prefix ends in a colon"
            yield Hit(at=query.node, says=says, fix=instead_of(name, query.versions[0]), evidence=name)


def _has_underscore_prefix(name: str, version: str) -> bool:
    meant = name.replace("vllm_", PREFIX, 1)
    return name.startswith("vllm_") and (metric_of(version, meant) is not None or meant in NEVER or meant in GONE)


@query_rule(
    "error",
    finds="a histogram queried by its bare name",
    why="Prometheus stores only its _bucket, _sum and _count: the query returns nothing",
    reference="https://prometheus.io/docs/concepts/metric_types/#histogram",
)
def bare_histogram(query: Query) -> Iterator[Hit]:
    for selector in _selectors(query):
        metric = metric_of(query.versions[0], selector.name)
        if metric and metric.type == "histogram" and selector.name == metric.name:
            says = f"{selector.name} is a histogram"
            fix = f"{selector.name}_bucket for a percentile; _sum / _count for a mean"
            yield Hit(at=query.node, says=says, fix=fix, evidence=selector.name)


def _selectors(query: Query) -> Iterator[Selector]:
    yield from dict.fromkeys(selectors(query.expression)) if query.expression else ()


@query_rule(
    "error",
    finds="a label that vLLM's metric does not have",
    why="the matcher matches nothing, or the grouping puts everything into one: the query returns nothing or nonsense",
    reference=_METRICS_DOC,
)
def unknown_label(query: Query) -> Iterator[Hit]:
    used = [(each, matcher.label) for each in _selectors(query) for matcher in each.matchers if matcher.operator]
    for each in walk(query.expression) if query.expression else ():
        if isinstance(each, Aggregation):
            used += [(selector, label) for selector in selectors(each) for label in each.labels]
    for selector, label in dict.fromkeys(used):
        metric = metric_of(query.versions[0], selector.name)
        labels = metric.labels if metric else USUAL_LABELS
        known = metric is not None or _may_be_gone(selector)
        meant = _meant(label, labels) if labels is not None and known else ""
        if meant:
            says = f"{selector.name} has no label {label}"
            yield Hit(at=query.node, says=says, fix=f"label {meant}", evidence=label)


def _may_be_gone(selector: Selector) -> bool:
    """Whether the name looks like a metric of some vLLM, not like a router's or a recording rule's."""
    name = selector.name
    return name.startswith(PREFIX) and name.count(":") == 1 and name not in ROUTERS and not _is_of_router(selector)


def _meant(label: str, labels: tuple[str, ...]) -> str:
    """The label that was probably meant; empty if `label` is one, or may come from the scrape configuration."""
    if label in labels or label == "le":
        return ""
    if label.lower() in LABEL_MISTAKES and LABEL_MISTAKES[label.lower()] in labels:
        return LABEL_MISTAKES[label.lower()]
    return next(iter(get_close_matches(label, labels, n=1, cutoff=0.85)), "")


@query_rule(
    "error",
    finds="a label value that vLLM never sets",
    why="the matcher matches nothing",
    reference=_METRICS_DOC,
)
def unknown_label_value(query: Query) -> Iterator[Hit]:
    for selector in _selectors(query):
        metric = metric_of(query.versions[0], selector.name)
        for matcher in selector.matchers if metric else ():
            values = metric.label_values.get(matcher.label) if metric else None
            if values and matcher.operator == "=" and "$" not in matcher.value and matcher.value not in values:
                says = f'{selector.name} has no {matcher.label}="{matcher.value}"'
                yield Hit(at=query.node, says=says, fix=f"one of {', '.join(values)}", evidence=matcher.value)


@query_rule(
    "error",
    finds="a percentile of buckets that were summed without le",
    why="histogram_quantile needs the le label: without it the result is empty",
    reference="https://prometheus.io/docs/practices/histograms/",
)
def quantile_without_le(query: Query) -> Iterator[Hit]:
    for each in walk(query.expression) if query.expression else ():
        if not isinstance(each, Call) or each.function != "histogram_quantile" or len(each.arguments) != 2:
            continue
        inner = each.arguments[1]
        if isinstance(inner, Aggregation) and ("le" in inner.labels) == inner.without:
            says = f"histogram_quantile of {inner.operator}() that drops le"
            yield Hit(at=query.node, says=says, fix="sum by (le) (rate(..._bucket[5m]))")


@query_rule(
    "warning",
    finds="a rate of a gauge",
    why="rate() takes each fall of a gauge for a counter's restart: the result means nothing",
    reference="https://prometheus.io/docs/prometheus/latest/querying/functions/#rate",
)
def rate_of_gauge(query: Query) -> Iterator[Hit]:
    for each in walk(query.expression) if query.expression else ():
        if isinstance(each, Call) and each.function in COUNTING:
            for selector in selectors(each):
                metric = metric_of(query.versions[0], selector.name)
                xid = selector.name == "DCGM_FI_DEV_XID_ERRORS"
                if xid or (metric and metric.type == "gauge"):
                    what = "the code of the last error" if xid else "a gauge"
                    says = f"{each.function}({selector.name}): it is {what}, not a counter"
                    fix = "DCGM_EXP_XID_ERRORS_COUNT" if xid else f"avg_over_time({selector.name}[1m]), or deriv()"
                    yield Hit(at=query.node, says=says, fix=fix, evidence=selector.name)


@query_rule(
    "error",
    finds="an adapter query without <<.LabelMatchers>>",
    why="it reads every pod of every namespace, and results are matched back by pod name alone: namesakes collide",
    reference=_ADAPTER_DOC,
)
def missing_label_matchers(query: Query) -> Iterator[Hit]:
    if query.origin == "adapter" and query.rule and query.rule.metrics_query.exists:
        text = query.rule.metrics_query.text
        if "LabelMatchers" not in text and "LabelValuesByName" not in text:
            fix = "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})"
            yield Hit(at=query.node, says="the query has no <<.LabelMatchers>>", fix=fix)


@query_rule(
    "error",
    finds="an adapter query without <<.GroupBy>>",
    why="the adapter cannot tell which pod a value belongs to, and the HPA finds no metric",
    reference=_ADAPTER_DOC,
)
def missing_group_by(query: Query) -> Iterator[Hit]:
    text = query.rule.metrics_query.text if query.rule and not query.rule.is_external else ""
    if text and "GroupBy" not in text:
        fix = "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})"
        yield Hit(at=query.node, says="the query has no <<.GroupBy>>", fix=fix)


@query_rule(
    "error",
    finds="an adapter query that averages over data-parallel ranks",
    why="each rank is a series of its own (label engine): 4 ranks with 40 waiting in all report 10. The HPA averages"
    " over pods by itself",
    reference=f"{_ADAPTER_DOC}; vllm/v1/metrics/loggers.py",
)
def average_over_ranks(query: Query) -> Iterator[Hit]:
    counts = any("num_requests_" in each.name for each in _selectors(query))
    if (
        query.origin == "adapter"
        and query.expression
        and counts
        and statistic(query.expression) in ("avg", "max", "min")
    ):
        says = f"{statistic(query.expression)}() over the engine label"
        yield Hit(at=query.node, says=says, fix="sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})")


@query_rule(
    "warning",
    finds="an adapter rule for series of every scrape job",
    why="series without pod or namespace, of a router or a test, get into the metric; the last one with a name wins",
    reference=_ADAPTER_DOC,
)
def unfiltered_series(query: Query) -> Iterator[Hit]:
    if query.origin == "adapter" and query.rule and not query.rule.is_external:
        series = query.rule.series_query
        if "namespace" not in series.text and "pod" not in series.text:
            fix = f'seriesQuery: \'{query.rule.series or "vllm:num_requests_running"}{{namespace!="",pod!=""}}\''
            yield Hit(at=series, says=f"seriesQuery {series.text} takes any series of that name", fix=fix)


@query_rule(
    "warning",
    finds="the DCGM exporter's own pod, where the workload's is meant",
    why="without honorLabels, pod and namespace are the exporter's; the GPU's user is in exported_pod and the like",
    reference=_DCGM,
)
def dcgm_exporter_labels(query: Query) -> Iterator[Hit]:
    used: list[tuple[str, str]] = []
    for each in walk(query.expression) if query.expression else ():
        if isinstance(each, Selector) and each.name.startswith("DCGM_"):
            used += [(each.name, matcher.label) for matcher in each.matchers]
        elif isinstance(each, Aggregation) and not each.without:
            used += [(name, label) for name in _dcgm_names(each) for label in each.labels]
    for name, label in dict.fromkeys(used):
        if label in _WORKLOAD_LABELS:
            says = f"{name} by {label}: that is the exporter's {label}"
            yield Hit(at=query.node, says=says, fix=f"exported_{label}", evidence=label)


def _dcgm_names(expression: Expression) -> list[str]:
    return [each.name for each in selectors(expression) if each.name.startswith("DCGM_")]


@query_rule(
    "warning",
    finds="a DCGM field that the exporter does not export by default",
    why="the query returns nothing until the field is added to the exporter's counters",
    reference=_DCGM,
)
def dcgm_field_off(query: Query) -> Iterator[Hit]:
    for name in dict.fromkeys(_dcgm_names(query.expression) if query.expression else ()):
        if name in OFF_BY_DEFAULT:
            fix = f"add {name} to the exporter's counters, or ask for DCGM_FI_PROF_GR_ENGINE_ACTIVE"
            yield Hit(at=query.node, says=f"{name} is off in the exporter's defaults", fix=fix, evidence=name)


RULES: tuple[Rule, ...] = (
    dead_metric,
    unknown_metric,
    bare_histogram,
    unknown_label,
    unknown_label_value,
    quantile_without_le,
    rate_of_gauge,
    missing_label_matchers,
    missing_group_by,
    average_over_ranks,
    unfiltered_series,
    dcgm_exporter_labels,
    dcgm_field_off,
)
