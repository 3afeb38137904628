"""`GatewaySettings`: what the gateway's configuration depends on."""

import re
from dataclasses import dataclass
from typing import Self

from flyball.errors import UsageError
from flyball.spec import GatewaySpec

BODY_BYTES = 32 * 1024 * 1024
"""A 128k-token prompt is 0.5 MB; the rest is for images, which arrive base64-encoded within the JSON."""

HEAP_BYTES = 1024 * 1024 * 1024
"""1,024 requests with their bodies are far below; 32 clients that upload the largest bodies at once are not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEndpoints:
    """Replicas listed in a file that Envoy watches; `path` as Envoy sees it, alone in its folder."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsEndpoints:
    """Replicas behind a name that resolves to all of them, as a headless Service's does to its ready pods."""

    name: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """One gateway. The same on this machine and on Kubernetes, but for addresses and how replicas are found."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0: the system chooses; `Gateway.port` says which."""
    admin_port: int = 0
    """Always on loopback. 0: the system chooses; `Gateway.admin_port` says which."""
    metrics_port: int | None = None
    """Serves the metrics alone, on `host`, for a Prometheus elsewhere. admin_port must not be 0 then."""
    idle_timeout_s: float = 300.0
    max_pending: int = 1024
    retries: int = 2
    max_body_bytes: int = BODY_BYTES
    max_heap_bytes: int = HEAP_BYTES
    api_key: str | None = None

    def __post_init__(self) -> None:
        if self.metrics_port is not None and self.admin_port == 0:
            raise ValueError("metrics_port passes requests on to admin_port, which must not be 0 then")
        if self.api_key is not None and not re.fullmatch(r"[!-~]+", self.api_key):
            raise UsageError(
                "gateway: the API key is empty or has characters that a header cannot carry",
                fix="use a key of printable ASCII characters without spaces",
            )

    @classmethod
    def of(cls, spec: GatewaySpec, *, api_key: str | None = None) -> Self:
        """The settings that the user's file asks for, on this machine."""
        return cls(
            port=spec.port,
            idle_timeout_s=spec.idle_timeout,
            max_pending=spec.max_pending,
            retries=spec.retries,
            api_key=api_key,
        )
