"""Known security advisories of vLLM and the oldest release without one."""

from dataclasses import dataclass
from functools import cache

from flyball.catalog.package_data import package_data

SAFE_RELEASE = "0.33.0"
"""The oldest vLLM without a known advisory; `advisories` says which apply to an older one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """One published weakness: affected are the releases from `since` (None: unknown, assume all) before `fixed_in`."""

    id: str
    title: str
    fixed_in: str
    source: str
    as_of: str
    since: str | None = None


def advisories(version: str) -> tuple[Advisory, ...]:
    """Those that apply to this vLLM version (`0.28.0`, `v0.28.0`), oldest first; any version, known here or not.

    ValueError if `version` is not one: a tag such as `latest` says nothing about what it holds.
    """
    number = version_number(version)
    return tuple(
        advisory
        for advisory in all_advisories()
        if number < version_number(advisory.fixed_in)
        and (advisory.since is None or number >= version_number(advisory.since))
    )


@cache
def all_advisories() -> tuple[Advisory, ...]:
    return tuple(Advisory(**row | {"as_of": str(row["as_of"])}) for row in package_data("vllm-advisories.yaml"))


def version_number(version: str) -> tuple[int, ...]:
    """(0, 28, 0) of `0.28.0` or `v0.28.0`; ValueError otherwise."""
    return tuple(int(part) for part in version.removeprefix("v").split("."))
