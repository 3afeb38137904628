import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.units import GIB, KIB, MIB, format_bytes, format_duration, parse_bytes, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("200ms", 0.2),
        ("0.5ms", 0.0005),
        ("90s", 90.0),
        ("1.5s", 1.5),
        ("2m", 120.0),
        ("1m30s", 90.0),
        ("2h", 7200.0),
        ("1d12h", 129_600.0),
        (" 5s ", 5.0),
        ("0s", 0.0),
    ],
)
def test_durations_as_people_write_them(text: str, seconds: float) -> None:
    """Numbers with units, one after the other, are seconds in sum."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "5.0", "s", "ms", "5 s", "1m 30s", "-5s", "5sec", "5S", "1e3s", ".5s", "5s!", "٣s"]
)
def test_what_is_no_duration(text: str) -> None:
    """A number without a unit, another spelling or anything around it is refused, with an example."""
    with pytest.raises(ValueError, match=r"is not a duration; write it like 200ms, 90s, 1m30s or 2h"):
        parse_duration(text)


@given(st.integers(0, 10**15))
def test_durations_round_trip_to_the_microsecond(microseconds: int) -> None:
    """Whatever is written by `format_duration` is read back as the same number, and holds no blank or exponent."""
    seconds = microseconds / 1_000_000
    text = format_duration(seconds)
    assert parse_duration(text) == seconds
    assert re.fullmatch(r"([0-9]+(\.[0-9]+)?(ms|s|m|h))+", text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.2, "200ms"),
        (0.0005, "0.5ms"),
        (1.25, "1250ms"),
        (90.0, "1m30s"),
        (300.0, "5m"),
        (3600.0, "1h"),
        (3661.0, "1h1m1s"),
        (0.000_000_4, "0s"),
    ],
)
def test_durations_are_written_shortly(seconds: float, text: str) -> None:
    """Whole seconds in hours, minutes and seconds; parts of a second in milliseconds."""
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("24Gi", 24 * GIB),
        ("512Mi", 512 * MIB),
        ("1.5Ki", 1536),
        ("2Ti", 2 * 1024 * GIB),
        ("10G", 10_000_000_000),
        ("3k", 3000),
        ("5M", 5_000_000),
        ("1T", 10**12),
        ("1024", KIB),
        (" 1Gi ", GIB),
        ("0", 0),
    ],
)
def test_bytes_with_kubernetes_suffixes(text: str, count: int) -> None:
    """Binary and decimal suffixes as Kubernetes has them; a bare number is bytes."""
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "Gi", "1GB", "1GiB", "1gi", "1 Gi", "-1Gi", "1e9", "1,5Gi", "1K", "٣Gi"])
def test_what_is_no_quantity_of_bytes(text: str) -> None:
    """Other spellings are refused, with an example."""
    with pytest.raises(ValueError, match=r"is not a quantity of bytes; write it like 24Gi, 512Mi or 10G"):
        parse_bytes(text)


@given(
    st.integers(0, 2**60),
    st.sampled_from([("", 1), ("k", 10**3), ("Ki", KIB), ("Mi", MIB), ("Gi", GIB), ("T", 10**12)]),
)
def test_whole_quantities_are_exact(count: int, unit: tuple[str, int]) -> None:
    """However large, a whole number with a suffix is exact to the byte."""
    suffix, size = unit
    assert parse_bytes(f"{count}{suffix}") == count * size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (KIB, "1 KiB"),
        (3.98 * GIB, "3.98 GiB"),
        (139.8 * GIB, "140 GiB"),
        (1000 * GIB, "1,000 GiB"),
        (2 * 1024 * GIB, "2 TiB"),
        (-1.5 * MIB, "-1.5 MiB"),
        (5000 * 1024 * GIB, "5,000 TiB"),
    ],
)
def test_bytes_for_people(count: float, text: str) -> None:
    """Three figures and a binary suffix."""
    assert format_bytes(count) == text


@given(st.floats(0, 2**60))
def test_bytes_for_people_are_within_half_a_per_cent(count: float) -> None:
    """What is shown is the quantity to three figures."""
    number, suffix = format_bytes(count).split(" ")
    size = {"B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB, "TiB": 1024 * GIB}[suffix]
    shown = float(number.replace(",", "")) * size
    assert shown == pytest.approx(count, rel=0.005, abs=0.5)
