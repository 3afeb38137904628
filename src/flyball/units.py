"""Durations and byte quantities, as people write them in a spec: `200ms`, `1m30s`, `24Gi`."""

import re
from decimal import Decimal

_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
# Kubernetes' suffixes (apimachinery resource.Quantity): binary and decimal.
_BYTES = {
    "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(Ki|Mi|Gi|Ti|k|M|G|T|)")

KIB, MIB, GIB = 2**10, 2**20, 2**30


def parse_duration(text: str) -> float:
    """Seconds in `200ms`, `90s`, `1m30s`, `2h`. A bare number is refused: its unit would be a guess."""
    compact = text.strip()
    parts = _DURATION_PART.findall(compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise ValueError(f"{text!r} is not a duration; write it like 200ms, 90s, 1m30s or 2h")
    return float(sum(Decimal(number) * _SECONDS[unit] for number, unit in parts))


def format_duration(seconds: float) -> str:
    """A spelling that `parse_duration` reads back exactly, to the microsecond."""
    microseconds = round(seconds * 1_000_000)
    whole, rest = divmod(microseconds, 1_000_000)
    if rest:
        milliseconds, fraction = divmod(microseconds, 1000)
        return f"{milliseconds}.{fraction:03d}".rstrip("0").rstrip(".") + "ms" if fraction else f"{milliseconds}ms"
    pieces = []
    for unit, size in (("h", 3600), ("m", 60), ("s", 1)):
        count, whole = divmod(whole, size)
        if count:
            pieces.append(f"{count}{unit}")
    return "".join(pieces) or "0s"


def parse_bytes(text: str) -> int:
    """Bytes in `24Gi`, `512Mi`, `10G` (Kubernetes' suffixes; a bare number is bytes)."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a quantity of bytes; write it like 24Gi, 512Mi or 10G")
    return int(Decimal(match[1]) * _BYTES[match[2]])


def format_bytes(count: float) -> str:
    """For people: three figures and a binary suffix, `3.98 GiB`."""
    for suffix, size in (("TiB", 2**40), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if abs(count) >= size:
            return f"{count / size:.3g} {suffix}" if abs(count) < 1000 * size else f"{count / size:,.0f} {suffix}"
    return f"{count:.0f} B"
