"""Envoy's counters, of which flyball needs a few."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Self

from flyball.gateway.routes import CLUSTER

_DOWNSTREAM = "http.gateway."
_UPSTREAM = f"cluster.{CLUSTER}."


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayStats:
    """Gauges (`_active`, `membership_`) and counters since the gateway's start, under Envoy's names.

    `downstream_rq_*` are all requests but health probes; `upstream_rq_*` are attempts, retries counted again. A counter
    that Envoy has not touched yet is 0.
    """

    downstream_cx_active: int = 0
    downstream_rq_active: int = 0
    """Admitted and not finished, those that only upload included."""
    downstream_rq_total: int = 0
    downstream_rq_2xx: int = 0
    downstream_rq_4xx: int = 0
    downstream_rq_5xx: int = 0
    downstream_rq_idle_timeout: int = 0
    upstream_rq_active: int = 0
    """On a replica's connection: running or waiting in the engine."""
    upstream_rq_pending_active: int = 0
    """Waiting for a connection."""
    upstream_rq_active_overflow: int = 0
    upstream_rq_pending_overflow: int = 0
    upstream_rq_total: int = 0
    upstream_rq_retry: int = 0
    upstream_rq_retry_success: int = 0
    """Retries that were answered below 500."""
    upstream_rq_retry_limit_exceeded: int = 0
    upstream_cx_connect_fail: int = 0
    membership_total: int = 0
    membership_healthy: int = 0
    """Listed replicas less the ejected ones."""

    @property
    def in_system(self) -> int:
        """Requests that a replica has or is about to get."""
        return self.upstream_rq_active + self.upstream_rq_pending_active

    @property
    def overflows(self) -> int:
        """Requests refused with 503 because max_pending was reached."""
        return self.upstream_rq_active_overflow + self.upstream_rq_pending_overflow

    @property
    def retries(self) -> int:
        return self.upstream_rq_retry

    @classmethod
    def parse(cls, text: str) -> Self:
        """From the admin port's /stats: a `name: value` a line; lines of other names are passed over."""
        values = dict(_named_values(text.splitlines()))
        names = [field.name for field in fields(cls)]
        return cls(**{name: values[_full_name(name)] for name in names if _full_name(name) in values})


STATS_FILTER = rf"^({_DOWNSTREAM}|{_UPSTREAM})(downstream|upstream|membership)_".replace(".", r"\.")
"""The /stats query's `filter`: what `parse` needs and little else."""


def _full_name(name: str) -> str:
    return (_DOWNSTREAM if name.startswith("downstream") else _UPSTREAM) + name


def _named_values(lines: Iterable[str]) -> Iterable[tuple[str, int]]:
    for line in lines:
        name, separator, value = line.partition(": ")
        if separator and value.isdecimal():  # histograms are not numbers
            yield name, int(value)
