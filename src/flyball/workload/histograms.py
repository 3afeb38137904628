"""Reads recorded token counts: one count a line, `tokens,weight` a line, or JSON.

The JSON is `{"128": 0.25, "256": 0.75}`, or such objects by part as length histograms of ServeGen's clients have them:
`{"hist": {"input_tokens": {...}, "output_tokens": {...}}}`. A count of 0 is read as 1, the least a server takes.
"""

import json
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Literal

from flyball.errors import UsageError

Part = Literal["input_tokens", "output_tokens"]

_FIX = 'write one token count a line, or `tokens,weight` a line, or JSON like {"128": 0.25, "256": 0.75}'


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthHistogram:
    """Token counts, rising, and how often each occurs (weights of any scale, at least one above 0)."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]


def parse_lengths(text: str, *, source: str, part: Part) -> LengthHistogram:
    """The histogram in `text`; `part` chooses where a file holds both. Raises UsageError with the place."""
    rows = _json_rows(text, source, part) if text.lstrip().startswith("{") else _lines(text, source)
    weights: defaultdict[int, float] = defaultdict(float)
    for where, tokens, weight in rows:
        count, share = _number(tokens), _number(weight)
        if not (0 <= count < math.inf and count == int(count) and 0 <= share < math.inf):
            raise UsageError(f"{where}: {tokens!r} with weight {weight!r} is not a token count", fix=_FIX)
        weights[max(int(count), 1)] += share
    if not sum(weights.values()) > 0:
        raise UsageError(f"{source} holds no token counts", fix=_FIX)
    rising = sorted(weights)
    return LengthHistogram(tokens=tuple(rising), weights=tuple(weights[count] for count in rising))


_Row = tuple[str, Any, Any]  # place, tokens, weight


def _json_rows(text: str, source: str, part: Part) -> list[_Row]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise UsageError(f"{source} is not valid JSON: {error}", fix=_FIX) from None
    by_part = document.get("hist", document)
    histogram = by_part.get(part, by_part) if isinstance(by_part, dict) else None
    if not isinstance(histogram, dict) or {"input_tokens", "output_tokens"} & set(histogram):
        raise UsageError(f"{source} holds no histogram of {part}", fix=_FIX)
    return [(source, tokens, weight) for tokens, weight in histogram.items()]


def _lines(text: str, source: str) -> list[_Row]:
    rows = []
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        tokens, _, weight = line.partition(",")
        header = number == 1 and tokens.strip()[:1].isalpha()
        if line.strip() and not header:
            rows.append((f"{source}:{number}", tokens.strip(), weight.strip() or "1"))
    return rows


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
