"""Designs of services without a plan behind them, and a matrix of specs that reaches every branch of the objects."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flyball.catalog import load_catalog, release
from flyball.cli.rendering import gateway_bootstrap
from flyball.manifests import Because, Manifest, ServiceDesign, render
from flyball.manifests.engine import engine_objects
from flyball.manifests.scaler import scaler
from flyball.spec import ServingSpec

CATALOG = load_catalog()
DIGEST = "sha256:" + "0" * 63 + "1"
KEY = "sk-test"


def design(spec: Mapping[str, Any] | None = None, **changes: Any) -> ServiceDesign:
    """An 8B model on one L4 of AWS, 2 to 8 replicas, unless `spec` or `changes` say otherwise."""
    document: dict[str, Any] = {
        "model": {"id": "meta-llama/Llama-3.1-8B-Instruct", "revision": "0e9e39f249a16976918f6564b8830bc894c89659"},
        "kubernetes": {"cluster": "prod", "weights": {"storage_class": "efs"}},
    }
    name = changes.pop("machine", "g6.xlarge")
    machine = next(each for each in CATALOG.instance_types if each.name == name)
    base = ServiceDesign(
        spec=ServingSpec.model_validate(merged(document, spec or {})),
        release=release("0.33.0"),
        engine_args={
            "tensor_parallel_size": Because(1, "one"),
            "max_model_len": Because(8192, "the longest"),
            "max_num_seqs": Because(64, "the pool"),
        },
        max_num_seqs=64,
        weights_bytes=16_060_522_496,
        accelerator=CATALOG.accelerator(machine.accelerator),
        gpus_per_replica=1,
        machine=machine,
        on_demand_floor=None,
        min_replicas=Because(2, "one and one to lose"),
        max_replicas=Because(8, "the peak"),
        typical_replicas=3,
        target=Because(12.0, "a share"),
        start_s=Because(95.0, "measured"),
        longest_stream_s=Because(45, "the longest answer"),
        on_demand_usd_per_hour=1.0,
        spot_usd_per_hour=0.4,
    )
    return replace(base, **changes)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` above `base`, section by section."""
    sections = {key: merged(base[key], value) for key, value in over.items() if isinstance(base.get(key), Mapping)}
    return {**base, **over, **sections}


def objects(service: ServiceDesign) -> tuple[Manifest, ...]:
    key = KEY if service.spec.gateway.api_key_env else None
    return render(service, gateway_bootstrap=gateway_bootstrap(service, key), api_key=key)


def workload(service: ServiceDesign) -> tuple[Manifest, ...]:
    """The replicas and their scaler alone, which is quick."""
    return (*engine_objects(service), *scaler(service))


def of_kind(manifests: tuple[Manifest, ...], kind: str, name: str | None = None) -> dict[str, Any]:
    """The plain object of that kind, the only one unless named."""
    found = [each.plain for each in manifests if each.kind == kind and name in (None, each.name)]
    assert len(found) == 1, (kind, name, [each.name for each in manifests if each.kind == kind])
    return found[0]


SPOT: dict[str, Any] = {"on_demand_floor": 2, "min_replicas": Because(3, "typical")}
FOUR: dict[str, Any] = {"gpus_per_replica": 4, "engine_args": {"tensor_parallel_size": Because(4, "four")}}

MATRIX: dict[str, ServiceDesign] = {
    "plain": design(),
    "digest": design({"kubernetes": {"image": f"vllm/vllm-openai:v0.33.0@{DIGEST}"}}),
    "key": design({"gateway": {"api_key_env": "KEY"}}),
    "spot above a floor": design({"hardware": {"spot": {"allowed": True}}}, **SPOT),
    "spot from 0": design(on_demand_floor=2),
    "all on spot": design(on_demand_floor=0),
    "spot only": design({"kubernetes": {"spot_fallback": False}}, **SPOT),
    "spot, adapter": design({"scaling": {"by": "prometheus-adapter"}}, **SPOT),
    "adapter": design({"scaling": {"by": "prometheus-adapter", "signal": "waiting"}}),
    "kv": design({"scaling": {"signal": "kv"}}, target=Because(0.7, "most of the pool")),
    "fixed": design(min_replicas=Because(3, "given"), max_replicas=Because(3, "given")),
    "one replica": design(
        {"kubernetes": {"node_pools": "none"}}, min_replicas=Because(1, "given"), max_replicas=Because(1, "given")
    ),
    "behavior": design(
        {"scaling": {"behavior": {"scale_up": {"tolerance": 0.05}, "scale_down": {"stabilization_window": 900}}}}
    ),
    "gke": design({"hardware": {"cloud": "gcp"}}, machine="g2-standard-4", **SPOT),
    "gke, four GPUs": design(machine="a3-highgpu-8g", **FOUR),
    "eks": design({"kubernetes": {"node_pools": "eks"}}, **SPOT),
    "azure": design(machine="Standard_NC24ads_A100_v4", **SPOT),
    "own machines": design({"kubernetes": {"node_pools": "none", "spare_gpus": 1, "runtime_class": "nvidia"}}),
    "files on the node": design({"kubernetes": {"weights": {"storage_class": None, "host_path": "/data/models"}}}),
    "files in an image": design(
        {"kubernetes": {"weights": {"storage_class": None, "image": f"registry.example.com/llama:1@{DIGEST}"}}}
    ),
    "other taint": design(
        {"kubernetes": {"taint_key": "gpu-node", "tolerations": [{"key": "team", "value": "ml"}, {"key": "late"}]}}
    ),
    "labelled nodes": design({"kubernetes": {"node_pools": "none", "node_labels": {"example.com/gpu": "l4"}}}),
    "private registry": design({"kubernetes": {"image_pull_secret": "registry", "egress": "internet"}}),
    "health only": design({"kubernetes": {"liveness": "health", "gateway_replicas": 1, "compile_cache": "none"}}),
    "slow": design(start_s=Because(1500.0, "measured"), longest_stream_s=Because(900, "given")),
}
