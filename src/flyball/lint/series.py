"""What a query yields: one series or several, a total or an average."""

from collections.abc import Iterator

from flyball.lint.promql import Aggregation, Binary, Call, Expression, Number, Selector, Text, walk

_ALWAYS_ONE = frozenset({"scalar", "vector", "time", "absent", "absent_over_time", "pi"})
_SETS = frozenset({"and", "unless"})
_SEVERAL = frozenset({"topk", "bottomk", "count_values", "limitk", "limit_ratio"})
COUNTING = frozenset({"rate", "irate", "increase", "resets"})
"""Functions that make sense of a counter."""


def yields_one_series(expression: Expression) -> bool:
    """Whether the query can only ever yield a scalar or one series, whatever is scraped."""
    match expression:
        case Number() | Text():
            return True
        case Selector():
            return False
        case Aggregation():
            pinned = all(_is_pinned(label, expression.expression) for label in expression.labels)
            return expression.operator not in _SEVERAL and not expression.without and pinned
        case Call(function="histogram_quantile", arguments=(_, inner)):
            buckets = isinstance(inner, Aggregation) and not inner.without and set(inner.labels) <= {"le"}
            return buckets or yields_one_series(inner)
        case Call():
            return expression.function in _ALWAYS_ONE or all(map(yields_one_series, expression.arguments))
        case Binary():
            if expression.operator in _SETS:
                return yields_one_series(expression.left)
            return yields_one_series(expression.left) and yields_one_series(expression.right)


def _is_pinned(label: str, expression: Expression) -> bool:
    """Whether every selector inside asks for one value of the label."""
    inside = [each for each in walk(expression) if isinstance(each, Selector)]
    return bool(inside) and all(
        any(matcher.label == label and matcher.operator == "=" for matcher in each.matchers) for each in inside
    )


def statistic(expression: Expression) -> str:
    """What the query says about the replicas as a whole: `sum`, `avg`, `max`, `quantile`, ...; empty if unclear.

    Arithmetic with a number, `or vector(0)` and functions over time do not change it; a product of two vectors might.
    """
    match expression:
        case Call(function="histogram_quantile"):
            return "quantile"
        case Aggregation(operator="topk" | "bottomk"):
            return "max" if expression.operator == "topk" else "min"
        case Aggregation():
            return expression.operator
        case Call() if expression.arguments:
            vectors = [each for each in expression.arguments if not isinstance(each, Number | Text)]
            return statistic(vectors[0]) if len(vectors) == 1 else ""
        case Binary(operator="*" | "/"):
            numbers = isinstance(expression.left, Number) or isinstance(expression.right, Number)
            inner = expression.right if isinstance(expression.left, Number) else expression.left
            return statistic(inner) if numbers else ""
        case Binary(operator="+" | "-") if not _is_constant(expression.right) and not _is_constant(expression.left):
            left, right = statistic(expression.left), statistic(expression.right)
            return left if left == right else ""
        case Binary():
            return statistic(expression.right if _is_constant(expression.left) else expression.left)
    return ""


def _is_constant(expression: Expression) -> bool:
    return not any(isinstance(each, Selector) for each in walk(expression))


def bare_selectors(expression: Expression, functions: frozenset[str]) -> Iterator[Selector]:
    """The selectors that are not inside a call of one of `functions`."""
    if isinstance(expression, Selector):
        yield expression
    elif isinstance(expression, Call) and expression.function not in functions:
        for argument in expression.arguments:
            yield from bare_selectors(argument, functions)
    elif isinstance(expression, Aggregation):
        yield from bare_selectors(expression.expression, functions)
    elif isinstance(expression, Binary):
        yield from bare_selectors(expression.left, functions)
        yield from bare_selectors(expression.right, functions)
