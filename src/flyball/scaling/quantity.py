"""Kubernetes quantities (`10500m`, `2k`, `1.5Ki`, `3e2`) exactly, and in the milli-units that the HPA computes with.

The grammar and the rounding are those of apimachinery's `resource.Quantity`.
"""

import math
import re
from fractions import Fraction
from typing import TypeAlias

Quantity: TypeAlias = str | int | float
"""As it stands in JSON or YAML: a string with an optional suffix, or a bare number."""

_SUFFIXES = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 10**3), "": Fraction(1),
    "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9), "T": Fraction(10**12),
    "P": Fraction(10**15), "E": Fraction(10**18),
    "Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30), "Ti": Fraction(2**40),
    "Pi": Fraction(2**50), "Ei": Fraction(2**60),
}  # fmt: skip
_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))(?:[eE](?P<exponent>[+-]?\d{1,3})|(?P<suffix>[numkMGTPE]|[KMGTPE]i|))"
)


def parse_quantity(quantity: Quantity) -> Fraction:
    """The exact value. Raises ValueError with what is wrong."""
    match = _QUANTITY.fullmatch(str(quantity)) if not isinstance(quantity, bool) else None
    if match is None:
        raise ValueError(f"{quantity!r} is not a Kubernetes quantity; write it like 10, 10500m, 2k, 1.5Ki or 3e2")
    number = Fraction(match["number"])
    if match["exponent"] is not None:
        return number * Fraction(10) ** int(match["exponent"])
    return number * _SUFFIXES[match["suffix"]]


def milli_value(quantity: Quantity) -> int:
    """Thousandths, rounded away from zero as `Quantity.MilliValue` does: `11000001u` is 11001."""
    milli = parse_quantity(quantity) * 1000
    return math.ceil(milli) if milli > 0 else math.floor(milli)


def approximate_float(quantity: Quantity) -> float:
    """The float that `Quantity.AsApproximateFloat64` makes of the canonical form.

    The controller compares ratios with this float, so `70m` has to become 70 * 0.001 and not 0.07, to the last bit.
    """
    value = parse_quantity(quantity)
    for per_unit, unit in ((1, 1.0), (10**3, 1e-3), (10**6, 1e-6)):
        if (value * per_unit).denominator == 1:
            return float(value * per_unit) * unit
    return math.ceil(value * 10**9) * 1e-9


def format_milli(milli: int) -> str:
    """For people and manifests: 10500 is `10.5`, 27000 is `27`."""
    whole, rest = divmod(abs(milli), 1000)
    sign = "-" if milli < 0 else ""
    return f"{sign}{whole}" + (f".{rest:03d}".rstrip("0") if rest else "")
