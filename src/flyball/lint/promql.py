"""A small reader of PromQL: enough to know a query's metrics, matchers, aggregations and how many series it yields.

Grafana's variables and the Prometheus Adapter's `<<.Series>>` templates are read as the names or durations they become.
The grammar is that of https://prometheus.io/docs/prometheus/latest/querying/basics/ and .../operators/.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

T = TypeVar("T")

_WITH_PARAMETER = frozenset({"topk", "bottomk", "quantile", "count_values", "limitk", "limit_ratio"})
AGGREGATORS = _WITH_PARAMETER | {"sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"}
_LEVELS = (("or",), ("and", "unless"), ("==", "!=", ">", "<", ">=", "<="), ("+", "-"), ("*", "/", "%", "atan2"), ("^",))
_TOKEN = re.compile(
    r"""
    (?P<space>\s+|\#[^\n]*)
  | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
  | (?P<variable>\$\{[^}]*\}|\$\w+|\[\[\w+\]\]|<<[^>]*>>)
  | (?P<duration>(?:\d+(?:ms|[smhdwy]))+(?![\w.]))
  | (?P<number>0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
  | (?P<word>[A-Za-z_:][\w:]*)
  | (?P<symbol>==|!=|=~|!~|>=|<=|[-+*/%^<>=(),{}\[\]:@])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    label: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """`name{matchers}`; the name is empty where a template or a regular expression gives it."""

    name: str
    matchers: tuple[Matcher, ...] = ()
    is_range: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    function: str
    arguments: tuple["Expression", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregation:
    operator: str
    expression: "Expression"
    labels: tuple[str, ...] = ()
    """Of its `by` clause, or of its `without` clause."""
    without: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    operator: str
    left: "Expression"
    right: "Expression"
    matching: tuple[str, ...] = ()
    """The labels of its on(), ignoring(), group_left() or group_right()."""


Expression: TypeAlias = Number | Text | Selector | Call | Aggregation | Binary


def parse_promql(text: str) -> Expression | None:
    """The query as a tree; None if it is not PromQL as far as this reader knows it."""
    try:
        tokens = list(tokenize(text))
        reader = _Reader(tokens)
        expression = reader.expression()
    except (_NotPromQLError, RecursionError):
        return None
    return expression if reader.is_at_end else None


def walk(expression: Expression) -> Iterator[Expression]:
    """The expression and everything in it, outermost first."""
    yield expression
    if isinstance(expression, Call):
        for argument in expression.arguments:
            yield from walk(argument)
    elif isinstance(expression, Aggregation):
        yield from walk(expression.expression)
    elif isinstance(expression, Binary):
        yield from walk(expression.left)
        yield from walk(expression.right)


def selectors(expression: Expression) -> Iterator[Selector]:
    return (each for each in walk(expression) if isinstance(each, Selector))


class _NotPromQLError(Exception):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    kind: str
    text: str


def tokenize(text: str) -> Iterator[Token]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _NotPromQLError
        if match.lastgroup != "space":
            yield Token(kind=str(match.lastgroup), text=match[0])
        position = match.end()


def words(text: str) -> set[str]:
    """The names in a text that is no PromQL as far as this reader knows it."""
    return {match[0] for match in _TOKEN.finditer(text) if match.lastgroup == "word"}


_END = Token(kind="end", text="")


class _Reader:
    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._position = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._position] if self._position < len(self._tokens) else _END

    @property
    def is_at_end(self) -> bool:
        return self._next is _END

    def _take(self) -> Token:
        token = self._next
        if token is _END:
            raise _NotPromQLError
        self._position += 1
        return token

    def _skip(self, *texts: str) -> str:
        """The token taken, if it is one of `texts`."""
        if self._next.kind in ("symbol", "word") and self._next.text.lower() in texts:
            return self._take().text.lower()
        return ""

    def _expect(self, text: str) -> None:
        if not self._skip(text):
            raise _NotPromQLError

    def expression(self, level: int = 0) -> Expression:
        if level == len(_LEVELS):
            return self._unary()
        left = self.expression(level + 1)
        while operator := self._skip(*_LEVELS[level]):
            matching = self._matching()
            right = self.expression(level if operator == "^" else level + 1)
            left = Binary(operator=operator, left=left, right=right, matching=matching)
        return left

    def _matching(self) -> tuple[str, ...]:
        self._skip("bool")
        labels: tuple[str, ...] = ()
        while self._skip("on", "ignoring", "group_left", "group_right"):
            labels += self._labels() if self._next.text == "(" else ()
        return labels

    def _labels(self) -> tuple[str, ...]:
        return self._listed("(", ")", lambda: self._take().text)

    def _unary(self) -> Expression:
        if self._skip("-", "+"):
            return self.expression(len(_LEVELS) - 1)
        expression = self._atom()
        return self._modifiers(expression)

    def _atom(self) -> Expression:
        token = self._take()
        if token.kind == "number":
            return Number(value=float(int(token.text, 16)) if token.text[:2].lower() == "0x" else float(token.text))
        if token.kind == "duration":
            return Number(value=0.0)
        if token.kind == "string":
            return Text(value=token.text[1:-1])
        if token.text == "(":
            inner = self.expression()
            self._expect(")")
            return inner
        if token.text == "{":
            return self._selector("")
        if token.kind == "variable":
            return self._selector("") if self._skip("{") else Number(value=0.0)
        if token.kind == "word":
            return self._named(token.text)
        raise _NotPromQLError

    def _named(self, name: str) -> Expression:
        if name.lower() in AGGREGATORS and (self._next.text == "(" or self._next.text.lower() in ("by", "without")):
            return self._aggregation(name.lower())
        if self._next.text == "(":
            return Call(function=name, arguments=self._listed("(", ")", self.expression))
        if name.lower() in ("inf", "nan"):
            return Number(value=float(name))
        return self._selector(name) if self._skip("{") else Selector(name=name)

    def _aggregation(self, operator: str) -> Aggregation:
        without, labels = self._grouping()
        arguments = self._listed("(", ")", self.expression)
        if not arguments or (operator in _WITH_PARAMETER) != (len(arguments) == 2):
            raise _NotPromQLError
        if not labels:
            without, labels = self._grouping()
        return Aggregation(operator=operator, expression=arguments[-1], labels=labels, without=without)

    def _grouping(self) -> tuple[bool, tuple[str, ...]]:
        word = self._skip("by", "without")
        return word == "without", self._labels() if word else ()

    def _selector(self, name: str) -> Selector:
        """After an opening brace. A quoted metric name may stand where a matcher does (Prometheus 3)."""
        self._position -= 1
        matchers = self._listed("{", "}", self._matcher)
        for matcher in matchers:
            if matcher.label == "__name__" and matcher.operator == "=":
                name = matcher.value
        return Selector(name=name, matchers=tuple(each for each in matchers if each.label != "__name__"))

    def _matcher(self) -> Matcher:
        label = self._take()
        if label.kind not in ("word", "variable", "string"):
            raise _NotPromQLError
        operator = self._skip("=", "!=", "=~", "!~")
        if operator:
            value = self._take()
            return Matcher(label=label.text, operator=operator, value=value.text[1:-1])
        if label.kind == "string":
            return Matcher(label="__name__", operator="=", value=label.text[1:-1])
        if label.kind == "variable":
            return Matcher(label=label.text, operator="", value="")
        raise _NotPromQLError

    def _listed(self, opening: str, closing: str, element: Callable[[], T]) -> tuple[T, ...]:
        self._expect(opening)
        elements: list[T] = []
        while not self._skip(closing):
            elements.append(element())
            if not self._skip(","):
                self._expect(closing)
                break
        return tuple(elements)

    def _modifiers(self, expression: Expression) -> Expression:
        while True:
            if self._skip("["):
                while not self._skip("]"):
                    self._take()
                if isinstance(expression, Selector):
                    expression = Selector(name=expression.name, matchers=expression.matchers, is_range=True)
            elif self._skip("offset"):
                self._skip("-")
                self._take()
            elif self._skip("@"):
                if self._take().kind == "word":
                    self._labels()
            else:
                return expression
