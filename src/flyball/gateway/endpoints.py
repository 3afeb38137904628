"""The list of replicas that Envoy watches, as a document and as a file that is never seen half-written."""

import json
from collections.abc import Iterable
from pathlib import Path

from flyball.gateway.routes import CLUSTER


def endpoint_document(addresses: Iterable[tuple[str, int]], *, version: int) -> dict[str, object]:
    """Envoy's discovery response that lists exactly these (IP address, port)."""
    endpoints = [
        {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}} for host, port in addresses
    ]
    return {
        "version_info": str(version),
        "resources": [
            {
                "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
                "cluster_name": CLUSTER,
                "endpoints": [{"lb_endpoints": endpoints}] if endpoints else [],
            }
        ],
    }


def write_endpoints(path: Path, addresses: Iterable[tuple[str, int]], *, version: int) -> None:
    """Replace the file in one step; Envoy reads it when something is moved into its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(endpoint_document(addresses, version=version)))
    partial.rename(path)
