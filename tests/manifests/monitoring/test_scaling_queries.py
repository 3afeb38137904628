"""What the autoscaler asks: one value for the service, of metrics that the release has."""

import pytest

from flyball.catalog import RELEASES, release
from flyball.errors import UsageError
from flyball.lint.promql import Selector, parse_promql, selectors
from flyball.lint.series import statistic, yields_one_series
from flyball.manifests.queries import adapter_rule, scaling_query
from flyball.spec.autoscaling import Signal

SIGNALS: tuple[Signal, ...] = ("in_system", "waiting", "kv")


def _selectors(query: str) -> list[Selector]:
    expression = parse_promql(query)
    assert expression is not None
    return list(selectors(expression))


@pytest.mark.parametrize("version", RELEASES)
@pytest.mark.parametrize("signal", SIGNALS)
def test_the_scaling_query_is_one_sum_of_the_service(signal: Signal, version: str) -> None:
    """For every release: one value, a sum, and every selector asks for the namespace and the job of the service."""
    query = scaling_query(signal, name="chat", namespace="llm", release=release(version))
    expression = parse_promql(query)

    assert expression is not None
    assert yields_one_series(expression)
    assert statistic(expression) == "sum"
    for selector in _selectors(query):
        matchers = {(each.label, each.operator, each.value) for each in selector.matchers}
        assert {("namespace", "=", "llm"), ("job", "=", "chat-engine")} <= matchers


@pytest.mark.parametrize("signal", SIGNALS)
def test_nothing_stands_in_for_a_lost_signal(signal: Signal) -> None:
    """An empty result stays empty, so that KEDA falls back where a zero would scale the service down."""
    query = scaling_query(signal, name="chat", namespace="llm", release=release("0.33.0"))

    assert "vector(" not in query
    assert " or " not in query


@pytest.mark.parametrize("signal", SIGNALS)
def test_an_adapter_rule_has_matchers_groups_and_a_filter(signal: Signal) -> None:
    """Each selector takes the asking HPA's namespace and pods; discovery passes over series without a pod."""
    rule = adapter_rule(signal, release=release("0.33.0"))
    text = str(rule["metricsQuery"])

    assert text.count("<<.LabelMatchers>>") == len(_selectors(text)) > 0
    assert "by (<<.GroupBy>>)" in text
    assert 'namespace!="",pod!=""' in str(rule["seriesQuery"])
    assert rule["name"]["matches"] == f"^{_selectors(str(rule['seriesQuery']))[0].name}$"  # type: ignore[index]


def test_a_metric_that_the_release_lacks_cannot_be_asked_for() -> None:
    """The query is refused with the name and the version; nothing is rendered."""
    known = release("0.33.0")
    metrics = {name: metric for name, metric in known.metrics.items() if name != "vllm:num_requests_waiting"}
    lacking = type(known)(
        **{field: getattr(known, field) for field in known.__slots__ if field != "metrics"}, metrics=metrics
    )

    with pytest.raises(UsageError, match=r"vllm:num_requests_waiting: vLLM 0\.33\.0 exports no such metric"):
        scaling_query("in_system", name="chat", namespace="llm", release=lacking)
    with pytest.raises(UsageError, match="vllm:num_requests_waiting"):
        adapter_rule("waiting", release=lacking)
