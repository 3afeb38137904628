"""Quantities: exact, and rounded as the API machinery rounds them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.scaling.quantity import approximate_float, format_milli, milli_value, parse_quantity


@pytest.mark.parametrize(
    ("quantity", "milli"),
    [
        ("10", 10_000),
        (10, 10_000),
        (0.5, 500),
        ("10500m", 10_500),
        ("11000001u", 11_001),
        ("11000000u", 11_000),
        ("1n", 1),
        ("0", 0),
        ("2k", 2_000_000),
        ("1.5Ki", 1_536_000),
        ("3M", 3_000_000_000),
        ("1Gi", 2**30 * 1000),
        ("1E", 10**21),
        ("1E3", 1_000_000),
        ("1e3", 1_000_000),
        ("12e-1", 1_200),
        ("+5", 5_000),
        ("-5", -5_000),
        ("-1u", -1),
        (".5", 500),
        ("5.", 5_000),
        ("0.9Gi", 966_367_641_600),
    ],
)
def test_milli_value_rounds_away_from_zero(quantity: str | float, milli: int) -> None:
    """Every suffix and exponent of the grammar, down to fractions of a thousandth."""
    assert milli_value(quantity) == milli


@pytest.mark.parametrize(
    "text", ["", "m", "1 k", "1K", "1mi", "1e", "--1", "1.2.3", "0x10", "nan", "1e9999", "1Kim", True]
)
def test_what_is_not_a_quantity_is_refused_with_an_example(text: str) -> None:
    """The error says how to write one."""
    with pytest.raises(ValueError, match="write it like 10"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("50m", 50 * 1e-3),
        ("0.07", 70 * 1e-3),
        ("70m", 70 * 1e-3),
        ("0", 0.0),
        ("1", 1.0),
        ("15u", 15 * 1e-6),
        ("1n", 1e-9),
    ],
)
def test_tolerances_become_the_float_that_the_controller_compares_with(quantity: str, expected: float) -> None:
    """Mantissa times power of ten of the canonical form, which is not always the nearest float."""
    assert approximate_float(quantity) == expected


def test_what_is_finer_than_a_billionth_is_rounded_up() -> None:
    """The API machinery holds nothing finer than 1n."""
    assert approximate_float("0.0000000001") == 1e-9


@given(milli=st.integers(-(10**15), 10**15))
def test_formatted_milli_units_read_back(milli: int) -> None:
    """`format_milli` loses nothing."""
    assert milli_value(format_milli(milli)) == milli


@given(value=st.integers(0, 10**12), scale=st.sampled_from(["n", "u", "m", "", "k", "Ki"]))
def test_milli_value_is_the_smallest_that_is_not_less(value: int, scale: str) -> None:
    """The rounding never loses load."""
    exact = parse_quantity(f"{value}{scale}") * 1000
    assert Fraction(milli_value(f"{value}{scale}")) - 1 < exact <= milli_value(f"{value}{scale}")
