"""Who may connect to whom. vLLM guards /v1 with its key and little else, so its port is for gateway and Prometheus."""

from typing import Any

from flyball.manifests.design import (
    ENGINE_PORT,
    GATEWAY_METRICS_PORT,
    GATEWAY_PORT,
    ServiceDesign,
)
from flyball.manifests.manifest import Because, Manifest

METADATA = ("169.254.169.254/32", "fd00:ec2::254/128")
"""Where clouds hand out a node's credentials."""
DNS = {"ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}


def network_policies(design: ServiceDesign) -> list[Manifest]:
    """For engine, gateway and the Job that fetches."""
    monitoring = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": design.kubernetes.monitoring_namespace}}
    }
    gateway = {"podSelector": {"matchLabels": design.selector("gateway")}}
    engine = {"podSelector": {"matchLabels": design.selector("engine")}}
    internet = design.kubernetes.egress == "internet"
    found = [
        _policy(
            design,
            "engine",
            ingress=[{"from": [gateway, monitoring], "ports": [_tcp(ENGINE_PORT)]}],
            egress=[DNS, _internet()] if internet else [],
            types_reason="out for images by URL; never the cloud's metadata service, which has the node's credentials"
            if internet
            else "no way out: the weights are local, ranks talk inside the pod, and strangers' input calls nobody",
            comment="Port 8000 answers /invocations, /tokenize, /pause, /metrics and more without a key.",
        ),
        _policy(
            design,
            "gateway",
            ingress=[
                {"ports": [_tcp(GATEWAY_PORT)]},
                {"from": [monitoring], "ports": [_tcp(GATEWAY_METRICS_PORT)]},
            ],
            egress=[{"to": [engine], "ports": [_tcp(ENGINE_PORT)]}, DNS],
        ),
    ]
    if design.kubernetes.weights.in_claim:
        found.append(_policy(design, "weights", ingress=[], egress=[DNS, _internet()]))
    return found


def _policy(
    design: ServiceDesign,
    component: str,
    *,
    ingress: list[Any],
    egress: list[Any],
    types_reason: str = "",
    comment: str = "",
) -> Manifest:
    """Without empty lists: the API server forgets them, and whoever applied them differs from it for ever."""
    types = ["Ingress", "Egress"]
    return Manifest(
        body={
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": design.metadata(f"{design.name}-{component}", component),
            "spec": {
                "podSelector": {"matchLabels": design.selector(component)},
                "policyTypes": Because(types, types_reason) if types_reason else types,
                **({"ingress": ingress} if ingress else {}),
                **({"egress": egress} if egress else {}),
            },
        },
        file="network.yaml",
        comment=comment,
    )


def _internet() -> dict[str, Any]:
    v4, v6 = METADATA
    blocks = [{"ipBlock": {"cidr": "0.0.0.0/0", "except": [v4]}}, {"ipBlock": {"cidr": "::/0", "except": [v6]}}]
    return {"to": blocks, "ports": [_tcp(443), _tcp(80)]}


def _tcp(port: int) -> dict[str, Any]:
    return {"protocol": "TCP", "port": port}
