"""`render`: a design as the objects that the API server gets, in the order in which they are best applied."""

from flyball.manifests.design import ServiceDesign
from flyball.manifests.engine import engine_objects
from flyball.manifests.gateway import gateway_objects
from flyball.manifests.handbook import handbook
from flyball.manifests.karpenter import karpenter_objects
from flyball.manifests.manifest import Manifest
from flyball.manifests.monitoring import adapter_values, dcgm_values, monitoring
from flyball.manifests.network import network_policies
from flyball.manifests.node_pools import gpu_operator_values, node_pool_script
from flyball.manifests.scaler import scaler
from flyball.manifests.security import api_key_secret, namespace
from flyball.manifests.weights import uses_host_path, weights_objects
from flyball.manifests.yaml_text import to_yaml


def render(design: ServiceDesign, *, gateway_bootstrap: str, api_key: str | None = None) -> tuple[Manifest, ...]:
    """Every object. `gateway_bootstrap` is Envoy's configuration, with the key in it if there is one.

    UsageError for what no object can express: a flag with a place of its own, a claim that cannot serve all replicas.
    """
    key = [api_key_secret(design, api_key)] if api_key is not None else []
    pools = karpenter_objects(design) if design.node_pools == "karpenter" and design.kubernetes.cluster else []
    found = (
        *namespace(design, host_path=uses_host_path(design)),
        *pools,
        *network_policies(design),
        *key,
        *weights_objects(design),
        *engine_objects(design, api_key=api_key),
        *gateway_objects(design, gateway_bootstrap),
        *monitoring(design),
        *scaler(design),
    )
    names = [(each.api_version, each.kind, each.namespace, each.name) for each in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"rendered twice: {twice}")
    return found


def side_files(design: ServiceDesign) -> dict[str, str]:
    """By name, what belongs to the service and is no Kubernetes object: how to roll out, node pools, Helm values."""
    files = {
        "README.md": handbook(design),
        "gpu-operator-values.yaml": gpu_operator_values(design, dcgm_values(design)),
    }
    script = node_pool_script(design)
    if script is not None:
        files["node-pools.sh"] = script
    if design.spec.scaling.by == "prometheus-adapter":
        comment = "Values for the Prometheus Adapter: helm upgrade --install prometheus-adapter"
        comment += " prometheus-community/prometheus-adapter -f THIS_FILE"
        files["prometheus-adapter-values.yaml"] = to_yaml(
            [Manifest(body=adapter_values(design), file="", comment=comment)]
        )
    return files
