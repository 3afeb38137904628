"""The PromQL reader: queries of real dashboards, recipes and rules, and texts that are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.lint.promql import Aggregation, Binary, Call, Matcher, Selector, parse_promql, selectors, words
from flyball.lint.series import statistic, yields_one_series

QUERIES = [
    'sum(vllm:num_requests_waiting{namespace="llm",model_name=~"a|b"}) or vector(0)',
    "avg(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>)",
    'histogram_quantile(0.95, sum by(le) (rate(vllm:ttft_bucket{model_name="$m"}[$__rate_interval])))',
    "max_over_time(sum(up)[5m:30s]) > bool 3 and on (pod) group_left(node) kube_pod_info offset 5m",
    "topk(1, sum without(pod)(up)) ^ -2",
    '{__name__=~"vllm:.*",}',
    "rate(foo[1h30m] @ end()) / 1e3 * 0x1F",
    "-foo % 2 != 1",
    "# a comment\nup",
    'label_replace(up, "a", "$1", "b", `(.*)`)',
    "avg_over_time(x[[[interval]]])",
    "histogram_quantile(${q:raw}, x)",
    "count_values by (job) ('version', build_info)",
    "sum(x) by () unless ignoring(a) y",
    "absent(up{job='x'} == 1)",
    "time() - process_start_time_seconds",
    "NaN", "1 + Inf", "foo[5m:]",
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
def test_reads_promql(query: str) -> None:
    """Everything that stands in real queries is read."""
    assert parse_promql(query) is not None


@pytest.mark.parametrize(
    "text", ["", "a b", "sum(", "sum()", "foo{", 'foo{a="b"', "foo[5m", "1 +", "topk(x)", "{a}", "%"]
)
def test_refuses_what_is_none(text: str) -> None:
    """Text that Prometheus refuses is not taken for a query."""
    assert parse_promql(text) is None


def test_structure() -> None:
    """The tree has the metric, its matchers, the aggregation with its labels, and the operators' precedence."""
    expression = parse_promql('a + sum by (pod) (rate(b{x!~"y"}[5m])) * 2')

    assert isinstance(expression, Binary)
    assert expression.operator == "+"
    assert expression.left == Selector(name="a")
    product = expression.right
    assert isinstance(product, Binary)
    assert product.operator == "*"
    total = product.left
    assert isinstance(total, Aggregation)
    assert (total.operator, total.labels, total.without) == ("sum", ("pod",), False)
    assert isinstance(total.expression, Call)
    assert total.expression.arguments == (
        Selector(name="b", matchers=(Matcher(label="x", operator="!~", value="y"),), is_range=True),
    )


def test_power_binds_to_the_right() -> None:
    """2 ^ 3 ^ 2 is 2 ^ (3 ^ 2), and a comparison binds weaker than a sum."""
    power, compared = parse_promql("a ^ b ^ c"), parse_promql("a + b > c")

    assert isinstance(power, Binary)
    assert power.left == Selector(name="a")
    assert isinstance(compared, Binary)
    assert compared.operator == ">"


def test_metric_names_wherever_they_stand() -> None:
    """A name may be a label matcher or, since Prometheus 3, a quoted string."""
    named = parse_promql('{__name__="vllm:x", a="b"} + {"vllm:y"} + vllm:z')

    assert named is not None
    assert [each.name for each in selectors(named)] == ["vllm:x", "vllm:y", "vllm:z"]


def test_words_of_what_cannot_be_read() -> None:
    """The names are found even where the query is not understood."""
    assert {"vllm:gpu_cache_usage_perc", "avg"} <= words("avg(vllm:gpu_cache_usage_perc) !! nonsense")


PIECES = [*"ab:{}()[]<>=~!+-*/^%,\"'`$.0123456789 \n", "sum", " by ", "rate", "5m", '{a="b"}', " or "]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_never_raises(text: str) -> None:
    """Whatever the text, the reader gives a tree or None."""
    expression = parse_promql(text)

    if expression is not None:
        yields_one_series(expression)
        statistic(expression)


@pytest.mark.parametrize(
    ("query", "single", "kind"),
    [
        ("sum(x)", True, "sum"),
        ("sum(x) or vector(0)", True, "sum"),
        ("vector(0) + sum(x)", True, "sum"),
        ("ceil(sum(x) / 2)", True, "sum"),
        ("sum(a) + sum(b)", True, "sum"),
        ("sum(a) + max(b)", True, ""),
        ("x", False, ""),
        ("sum(x) by (pod)", False, "sum"),
        ("sum by () (x)", True, "sum"),
        ("sum without (pod) (x)", False, "sum"),
        ('sum by (model_name) (x{model_name="a"})', True, "sum"),
        ('sum by (model_name) (x{model_name=~"a"})', False, "sum"),
        ("avg(x)", True, "avg"),
        ("avg(x) * count(x)", True, ""),
        ("max(avg_over_time(x[1m]))", True, "max"),
        ("topk(1, x)", False, "max"),
        ("histogram_quantile(0.9, sum by (le) (rate(x_bucket[1m])))", True, "quantile"),
        ("histogram_quantile(0.9, sum by (le, pod) (rate(x_bucket[1m])))", False, "quantile"),
        ("histogram_quantile(0.9, rate(x_bucket[1m]))", False, "quantile"),
        ("scalar(x)", True, ""),
        ("time()", True, ""),
        ("sum(a) > 3 and up", True, "sum"),
        ("sum(rate(x[1m])) / count(up)", True, ""),
    ],
)
def test_what_a_query_yields(query: str, single: bool, kind: str) -> None:
    """Whether it can only be one series, and whether that is a total, an average or something else."""
    expression = parse_promql(query)

    assert expression is not None
    assert yields_one_series(expression) == single
    assert statistic(expression) == kind
