"""The door in front of the replicas: Envoy's configuration, from pure code, and a managed Envoy on this machine.

`bootstrap` turns `GatewaySettings` into the configuration that serves here and on Kubernetes alike; only how replicas
are found differs (`FileEndpoints`, `DnsEndpoints`). `Gateway` runs it here.
"""

from flyball.gateway.configuration import bootstrap, to_yaml
from flyball.gateway.gateway import Gateway
from flyball.gateway.process import find_envoy, validate
from flyball.gateway.settings import DnsEndpoints, FileEndpoints, GatewaySettings
from flyball.gateway.stats import GatewayStats

__all__ = [
    "DnsEndpoints",
    "FileEndpoints",
    "Gateway",
    "GatewaySettings",
    "GatewayStats",
    "bootstrap",
    "find_envoy",
    "to_yaml",
    "validate",
]
