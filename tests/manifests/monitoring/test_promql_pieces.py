"""The builder: what it writes is what another reader reads, and what cannot work is refused."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.catalog import release
from flyball.errors import UsageError
from flyball.lint.promql import Aggregation, Binary, Call, Expression, Number, Selector, parse_promql
from flyball.manifests.promql import (
    Vector,
    increase,
    over_time,
    percentile,
    rate,
    select,
    slope,
    total,
)
from flyball.manifests.series import Series

SERIES = Series(name="chat", namespace="llm", release=release("0.33.0"))
Tree = str | tuple["Tree", str, "Tree"]
OPERATIONS: dict[str, Callable[[Vector, Vector], Vector]] = {
    "+": Vector.__add__,
    "-": Vector.__sub__,
    "*": Vector.__mul__,
    "/": Vector.__truediv__,
    ">": Vector.is_above,
    "==": Vector.equals,
    "and": Vector.where,
    "unless": Vector.unless,
    "or": Vector.or_,
}


def _leaf(name: str) -> tuple[Vector, Tree]:
    return select(name, metric_type="gauge", labels=("pod",), matchers={"pod": "x"}), name


def _grown(children: st.SearchStrategy[tuple[Vector, Tree]]) -> st.SearchStrategy[tuple[Vector, Tree]]:
    def combine(operator: str, left: tuple[Vector, Tree], right: tuple[Vector, Tree]) -> tuple[Vector, Tree]:
        return OPERATIONS[operator](left[0], right[0]), (left[1], operator, right[1])

    return st.builds(combine, st.sampled_from(sorted(OPERATIONS)), children, children)


def _tree(expression: Expression | None) -> Tree:
    match expression:
        case Selector():
            return expression.name
        case Binary():
            return _tree(expression.left), expression.operator, _tree(expression.right)
    raise AssertionError(expression)


@given(st.recursive(st.sampled_from("abcd").map(_leaf), _grown, max_leaves=8))
def test_any_combination_is_read_as_it_was_meant(made: tuple[Vector, Tree]) -> None:
    """Operators and parentheses: lint's reader finds the tree that was built, whatever was combined."""
    vector, meant = made

    assert _tree(parse_promql(vector.text)) == meant


def test_functions_and_groups_are_read_as_they_were_meant() -> None:
    """A percentile of summed rates, with its labels and matchers, read back by lint's reader."""
    buckets = SERIES.engine("vllm:time_to_first_token_seconds_bucket")
    read = parse_promql(str(percentile(0.95, total(rate(buckets, "5m"), "le"))))

    assert isinstance(read, Call)
    assert read.function == "histogram_quantile"
    assert read.arguments[0] == Number(value=0.95)
    assert isinstance(read.arguments[1], Aggregation)
    assert read.arguments[1].labels == ("le",)


def test_values_are_escaped() -> None:
    """A quote or a backslash in a value ends no matcher."""
    vector = select("a", metric_type="gauge", labels=("x",), matchers={"x": 'say "\\d"'})

    assert vector.text == 'a{x="say \\"\\\\d\\""}'


@pytest.mark.parametrize(
    ("metric", "matchers"),
    [
        ("vllm:gpu_cache_usage_perc", {}),
        ("vllm:time_per_output_token_seconds_bucket", {}),
        ("vllm:num_requests_running", {"finished_reason": "stop"}),
        ("vllm:admission_rejections_total", {"engine": "0"}),
    ],
)
def test_what_the_release_lacks_is_refused(metric: str, matchers: dict[str, str]) -> None:
    """A metric that is gone, and a label that the metric does not have."""
    with pytest.raises(UsageError, match=r"vLLM 0\.33\.0 exports"):
        SERIES.engine(metric, **matchers)


def test_what_another_release_has_is_refused_too() -> None:
    """Admission rejections came with 0.32; the message says so."""
    older = Series(name="chat", namespace="llm", release=release("0.31.0"))

    with pytest.raises(UsageError) as refused:
        older.engine("vllm:admission_rejections_total")
    assert "0.32.0 to 0.33.0 have it" in refused.value.fix


def test_a_group_or_a_match_by_a_label_that_is_not_there_is_refused() -> None:
    """Prometheus would put all series into one, or match none."""
    running = SERIES.engine("vllm:num_requests_running")

    with pytest.raises(UsageError, match="no label reason"):
        total(running, "reason")
    with pytest.raises(UsageError, match="no label pod"):
        total(running, "engine").where(running, on=("pod",))
    with pytest.raises(UsageError, match="no label le"):
        percentile(0.95, total(rate(SERIES.engine("vllm:time_to_first_token_seconds_bucket"), "5m")))


def test_a_function_of_the_wrong_kind_of_metric_is_refused() -> None:
    """A rate of a gauge takes each fall for a restart; a slope of a counter takes each restart for a fall."""
    running, tokens = SERIES.engine("vllm:num_requests_running"), SERIES.engine("vllm:generation_tokens_total")

    wrongs: tuple[Callable[[], Vector], ...] = (
        lambda: rate(running, "5m"),
        lambda: increase(running, "5m"),
        lambda: slope(tokens, "5m"),
        lambda: over_time("max", tokens, "5m"),
        lambda: rate(total(tokens), "5m"),
        lambda: SERIES.engine("vllm:time_to_first_token_seconds"),
    )
    for wrong in wrongs:
        with pytest.raises(ValueError, match=r"it is no|is a histogram"):
            wrong()


@pytest.mark.parametrize("metric", ["envoy_cluster_upstream_rq_5xx", "kube_pod_nonsense", "DCGM_FI_NONSENSE"])
def test_an_unknown_metric_of_an_exporter_is_refused(metric: str) -> None:
    """Only what is written down with its labels can be asked for."""
    ask = {"e": SERIES.gateway, "k": SERIES.pods, "D": SERIES.gpus}[metric[0]]

    with pytest.raises(UsageError, match=metric):
        ask(metric)
