"""Clusters that differ and are not broken, and objects with parts missing."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball.cluster.doctor.facts import Sample
from flyball.cluster.doctor.walk import Walk, walk
from sound_cluster import HPA, PODS, Bench

Change = Callable[[Bench], None]
VARIATIONS: list[Change] = []
Path = tuple[int | str, ...]


def varies(change: Change) -> Change:
    VARIATIONS.append(change)
    return change


def walked(bench: Bench) -> Walk:
    return walk(bench.facts(), bench.expected())


@varies
def no_targets_api(bench: Bench) -> None:
    """Thanos and managed services answer queries, and know of no targets."""
    bench.targets = None


@varies
def data_parallel_ranks(bench: Bench) -> None:
    """One engine has a series for each of its ranks."""
    bench.series += [{**each, "engine": "1"} for each in bench.series]


@varies
def several_models_in_prometheus(bench: Bench) -> None:
    """Another service's engines have series of the same name."""
    bench.series.append({"namespace": "ml", "pod": "other-0", "job": "other", "engine": "0"})


@varies
def no_quota_no_range(bench: Bench) -> None:
    """Most namespaces have none."""
    bench.remove("ResourceQuota")
    bench.remove("LimitRange")


@varies
def quota_of_other_pods(bench: Bench) -> None:
    """A quota for a priority class counts other pods."""
    spec = bench.live_object("ResourceQuota")["spec"]
    spec["hard"]["requests.nvidia.com/gpu"] = "0"
    spec["scopeSelector"] = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["low"]}]}


@varies
def driver_unknown(bench: Bench) -> None:
    """GKE and AKS run no GPU Feature Discovery: no label tells the driver."""
    for node in (each for each in bench.live if each["kind"] == "Node"):
        for label in [key for key in node["metadata"]["labels"] if key.startswith("nvidia.com/cuda")]:
            del node["metadata"]["labels"][label]


@varies
def compatible_driver(bench: Bench) -> None:
    """A data-centre GPU on driver 570 with the image's compatibility package switched on."""
    for node in (each for each in bench.live if each["kind"] == "Node"):
        node["metadata"]["labels"]["nvidia.com/cuda.driver-version.major"] = "570"
    container = bench.rendered_object("Deployment")["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "VLLM_ENABLE_CUDA_COMPATIBILITY", "value": "1"}]


@varies
def plugin_for_other_nodes(bench: Bench) -> None:
    """A second device plugin that is for nodes of another kind need not tolerate these."""
    metadata = {"name": "nvidia-device-plugin-arm", "namespace": "kube-system"}
    pod = {"nodeSelector": {"kubernetes.io/arch": "arm64"}, "tolerations": []}
    bench.add("DaemonSet", "apps/v1", metadata=metadata, spec={"template": {"spec": pod}}, status={})


@varies
def count_handed_over(bench: Bench) -> None:
    """Between our giving up `replicas` and the autoscaler's first write, a manager of ours holds the number."""
    entry = {"manager": "flyball-replicas", "operation": "Apply", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
    bench.live_object("Deployment", "chat-engine")["metadata"]["managedFields"].append(entry)


@varies
def finished_pods_hold_no_gpu(bench: Bench) -> None:
    """A training job that is done is still listed, and its GPUs are free."""
    spec = {"nodeName": "gpu-1", "containers": [{"resources": {"limits": {"nvidia.com/gpu": "4"}}}]}
    bench.add("Pod", metadata={"name": "train", "namespace": "ml"}, spec=spec, status={"phase": "Succeeded"})


@varies
def fixed_number_of_replicas(bench: Bench) -> None:
    """Nothing scales the service: the links about scaling have nothing to ask."""
    bench.rendered = [each for each in bench.rendered if each["kind"] != "ScaledObject"]
    bench.rendered_object("Deployment", "chat-engine")["spec"]["replicas"] = 2
    for kind in ("ScaledObject", HPA):
        bench.remove(kind)
    bench.more = {"metrics": ()}
    bench.address = "http://prometheus.monitoring.svc:9090"


@varies
def scaled_to_zero_by_keda(bench: Bench) -> None:
    """KEDA's minimum is 0, the HPA's is then 1."""
    bench.rendered_object("ScaledObject")["spec"]["minReplicaCount"] = 0
    bench.live_object(HPA)["spec"]["minReplicas"] = 1


@varies
def adapter_by_config_map(bench: Bench) -> None:
    """The Prometheus Adapter feeds the HPA, its rules in a ConfigMap: one value a pod."""
    bench.rendered = [each for each in bench.rendered if each["kind"] != "ScaledObject"]
    target = {"type": "AverageValue", "averageValue": "10"}
    pods = {"metric": {"name": "waiting"}, "target": target, "current": {"averageValue": "3"}}
    metric = {"type": "Pods", "pods": pods}
    spec = {**bench.live_object(HPA)["spec"], "metrics": [metric]}
    metadata = {"name": "chat-engine", "namespace": "llm"}
    bench.rendered.append({"kind": HPA, "apiVersion": "autoscaling/v2", "metadata": metadata, "spec": spec})
    rules = (
        "rules:\n- seriesQuery: 'vllm:num_requests_waiting{pod!=\"\"}'\n"
        "  metricsQuery: sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})\n"
    )
    adapter = {"name": "adapter", "namespace": "monitoring"}
    bench.rendered.append(
        {"kind": "ConfigMap", "apiVersion": "v1", "metadata": adapter, "data": {"config.yaml": rules}}
    )
    bench.remove("ScaledObject")
    live = bench.live_object(HPA)
    live["spec"], live["status"]["currentMetrics"] = spec, [metric]
    del live["metadata"]["ownerReferences"]
    service = bench.live_object("APIService", "v1beta1.external.metrics.k8s.io")
    service["metadata"]["name"] = "v1beta1.custom.metrics.k8s.io"
    service["spec"]["service"]["name"] = "prometheus-adapter"
    bench.values = tuple(Sample(labels={"pod": pod}, value=3.0) for pod in PODS)
    bench.address = "http://prometheus.monitoring.svc:9090"


@pytest.mark.parametrize("change", VARIATIONS, ids=lambda change: change.__name__)
def test_variation_is_sound(change: Change) -> None:
    """What is merely different is no finding: every link stays ok."""
    bench = Bench()
    change(bench)

    found = walked(bench)

    assert [(link.id, link.state, link.answer, link.symptoms) for link in found.links if link.state != "ok"] == []


def paths(value: Any, before: Path = ()) -> Iterator[Path]:
    """Every path into a document."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*before, key)
        yield from paths(child, (*before, key))


PATHS = [path for path in paths(Bench().live) if path[1:] not in ((), ("kind",))]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PATHS), st.booleans()), min_size=1, max_size=4))
def test_missing_parts_are_survived(losses: list[tuple[Path, bool]]) -> None:
    """Whatever a cluster's objects lack, or have as null, the walk answers for every link and each finding is whole."""
    bench = Bench()
    for path, is_null in losses:
        lose(bench.live, path, is_null=is_null)

    found = walked(bench)

    assert all(symptom.place and symptom.answered for link in found.links for symptom in link.symptoms)
    assert all(link.answer or link.symptoms for link in found.links)


def lose(document: Any, path: Path, *, is_null: bool) -> None:
    """Take out, or null, what is at a path, if an earlier loss has left the path."""
    for step in path[:-1]:
        try:
            document = document[step]
        except (KeyError, TypeError):
            return
    if isinstance(document, dict) and path[-1] in document:
        if is_null and isinstance(document[path[-1]], dict | list):
            document[path[-1]] = None  # as Go writes a slice or a map that is nil
        else:
            del document[path[-1]]
