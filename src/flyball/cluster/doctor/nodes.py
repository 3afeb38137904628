"""Do nodes advertise GPUs, and is their driver new enough for the engine's image?"""

import re
from collections.abc import Iterator, Sequence
from functools import cache

from flyball.catalog import load_catalog
from flyball.cluster.doctor.expected import EngineWorkload, ExpectedService, gpu_resource
from flyball.cluster.doctor.facts import ClusterFacts
from flyball.cluster.doctor.pools import may_grow
from flyball.cluster.doctor.reading import amount, name, place, rows, table, text
from flyball.cluster.doctor.resource import DAEMON_SETS, NODES
from flyball.cluster.doctor.scheduling import is_ready, label_mismatches, lasting_taints, untolerated
from flyball.cluster.doctor.symptom import Checked, Symptom, broken, risky
from flyball.cluster.objects import PlainObject, labels_of
from flyball.cluster.pod_state import GPU

_HAS_A_GPU = ("nvidia.com/gpu.present", "feature.node.kubernetes.io/pci-10de.present")
"""Labels of Node Feature Discovery and the GPU Operator; PCI vendor 10de is NVIDIA."""
_GPU_LABELS = ("nvidia.com/gpu.product", "k8s.amazonaws.com/accelerator")
"""Labels that only machines with a GPU carry, beside those of the catalogue's clouds."""
_INSTANCE_TYPE = "node.kubernetes.io/instance-type"
_SET_BY_DISCOVERY = ("nvidia.com/", "feature.node.kubernetes.io/")
_ON_EVERY_GPU_NODE = re.compile(
    r"nvidia.*(device-plugin|driver-daemonset|container-toolkit|dcgm-exporter)|dcgm-exporter"
)
"""DaemonSets of the GPU Operator and of its parts' own charts."""
MIN_DRIVER = 580
"""vllm/vllm-openai of 0.26 and later is built on CUDA 13 (its docker/versions.json), which needs driver R580
(CUDA 13 release notes, table of driver versions)."""
_COMPATIBLE_DRIVERS = (535, 570)
"""Branches that CUDA 13's forward-compatibility package supports, on data-centre GPUs only."""
_DRIVER_LABELS = ("nvidia.com/cuda.driver-version.major", "nvidia.com/cuda.driver.major")
"""GPU Feature Discovery's label, and the one it had before 0.15."""


@cache
def _gpu_labels() -> frozenset[str]:
    return frozenset(_GPU_LABELS) | {cloud.gpu_label for cloud in load_catalog().clouds if cloud.gpu_label}


@cache
def _gpu_machines() -> frozenset[str]:
    return frozenset(machine.name for machine in load_catalog().instance_types)


def has_gpu(node: PlainObject) -> bool:
    """Whether it is a GPU node, be its GPUs advertised or not.

    Where a taint locked out what labels GPU nodes, the machine's type or the taint itself tells.
    """
    has = labels_of(node)
    if any(key.startswith("nvidia.com/") for key in table(node, "status", "capacity")):
        return True
    if any(has.get(label) == "true" for label in _HAS_A_GPU) or _gpu_labels() & set(has):
        return True
    is_tainted = any("gpu" in text(taint, "key").lower() for taint in rows(node, "spec", "taints"))
    return is_tainted or has.get(_INSTANCE_TYPE) in _gpu_machines()


def gpu_nodes(facts: ClusterFacts) -> Sequence[PlainObject]:
    return [node for node in facts.of(NODES) if has_gpu(node)]


def advertised(node: PlainObject, resource: str = GPU) -> int:
    return int(amount(table(node, "status", "allocatable").get(resource, 0)))


def check_gpus(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """Nodes with GPUs, Ready, and with every GPU advertised."""
    resource = next((gpu_resource(engine.pod) for engine in expected.engines), GPU)
    nodes = gpu_nodes(facts)
    able = [node for node in nodes if is_ready(node) and advertised(node, resource)]
    symptoms = [symptom for node in nodes for symptom in _node_symptoms(facts, node, resource, alone=not able)]
    if not nodes:
        symptoms.append(_no_gpu_node(facts, expected, resource))
    gpus = sum(advertised(node, resource) for node in able)
    return Checked(answer=f"{len(able)} of {len(nodes)} GPU nodes advertise {gpus} {resource}", symptoms=symptoms)


def _no_gpu_node(facts: ClusterFacts, expected: ExpectedService, resource: str) -> Symptom:
    asked = f"nodes with a GPU, among {len(facts.of(NODES))} nodes"
    growth = may_grow(facts, expected)
    if growth:
        fix = "Pending replicas should bring one; the events of a Pending pod say what it tried"
        return risky("nodes", asked=asked, answered=f"none yet; may add one: {growth}", fix=fix)
    fix = f"add a node pool with GPUs, and NVIDIA's GPU Operator or device plugin so that it advertises {resource}"
    return broken("nodes", asked=asked, answered="none, and nothing that would add one", fix=fix)


def _node_symptoms(facts: ClusterFacts, node: PlainObject, resource: str, *, alone: bool) -> Iterator[Symptom]:
    """`alone`: no other node can serve, so what is wrong with this one breaks the chain."""
    symptom = broken if alone else risky
    if not is_ready(node):
        fix = f"kubectl describe node {name(node)}"
        yield symptom(place(node), asked="condition Ready", answered="not True", fix=fix)
        return
    here = advertised(node, resource)
    capacity = int(amount(table(node, "status", "capacity").get(resource, 0)))
    asked = f"allocatable {resource}"
    locked_out = list(_locked_out(facts, node))
    if not here:
        answered, fix = _why_none(facts, node, resource, locked_out)
        yield symptom(place(node), asked=asked, answered=answered, fix=fix)
        return
    if here < capacity:
        fix = "the device plugin took them out after an XID error: drain the node and reset or replace the GPU"
        yield risky(place(node), asked=asked, answered=f"{here} of {capacity}: unhealthy devices", fix=fix)
    for daemon, taint in locked_out:
        fix = f"add a toleration of {taint.partition('=')[0].partition(':')[0]} to {place(daemon)}"
        yield risky(place(node), asked=f"room for {place(daemon)}", answered=f"it does not tolerate {taint}", fix=fix)


def _locked_out(facts: ClusterFacts, node: PlainObject) -> Iterator[tuple[PlainObject, str]]:
    """DaemonSets that every GPU node needs, and the taint of this node that they do not tolerate."""
    for daemon in facts.of(DAEMON_SETS):
        pod = table(daemon, "spec", "template", "spec")
        if _ON_EVERY_GPU_NODE.search(name(daemon)) and not _elsewhere(pod, node):
            for taint in untolerated(rows(pod, "tolerations"), lasting_taints(node))[:1]:
                yield daemon, taint


def _elsewhere(pod: PlainObject, node: PlainObject) -> bool:
    """Whether a DaemonSet is for other nodes. Labels that its own companions would set on this one do not tell."""
    return any(not each.startswith(_SET_BY_DISCOVERY) for each in label_mismatches(pod, labels_of(node)))


def _why_none(
    facts: ClusterFacts, node: PlainObject, resource: str, locked_out: Sequence[tuple[PlainObject, str]]
) -> tuple[str, str]:
    """(answered, fix) for a GPU node that advertises nothing."""
    if locked_out:
        names, taint = ", ".join(place(daemon) for daemon, _ in locked_out), locked_out[0][1]
        key = taint.partition("=")[0].partition(":")[0]
        return (
            f"0: the taint {taint} keeps {names} off the node",
            f"taint GPU nodes with {GPU} instead, or add {key} to the GPU Operator's daemonsets.tolerations",
        )
    if DAEMON_SETS in facts.unread:
        return "0 (this user may not list DaemonSets, which would tell more)", "look at the device plugin's pods there"
    plugins = [each for each in facts.of(DAEMON_SETS) if "device-plugin" in name(each)]
    if not plugins:
        return "0: no DaemonSet of a device plugin in the cluster", "install NVIDIA's GPU Operator or device plugin"
    if int(amount(table(node, "status", "capacity").get(resource, 0))):
        return "0, with a capacity above 0: every device is unhealthy", f"drain {name(node)} and replace its GPUs"
    ready, wanted = (text(plugins[0], "status", key) or "0" for key in ("numberReady", "desiredNumberScheduled"))
    return (
        f"0: {place(plugins[0])} has {ready} of {wanted} pods ready",
        f"look at its pods and at those of the driver on {name(node)}: the plugin waits for the driver",
    )


def check_driver(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """The driver of each GPU node against the CUDA version of the image."""
    nodes = [node for node in gpu_nodes(facts) if advertised(node)]
    images = [engine for engine in expected.engines if "vllm/vllm-openai" in text(engine.engine, "image")]
    if not images:
        return Checked(answer="no engine with vLLM's own image: its CUDA version is not known here")
    engine = images[0]
    versions = {name(node): _driver(node) for node in nodes}
    symptoms = [
        symptom for node in nodes for symptom in _driver_symptoms(node, engine, alone=not _any_new(versions.values()))
    ]
    known = sorted({str(version) for version in versions.values() if version})
    return Checked(answer=f"drivers {', '.join(known) or 'unknown'}; CUDA 13 needs {MIN_DRIVER}", symptoms=symptoms)


def _any_new(versions: object) -> bool:
    return any(version is None or version >= MIN_DRIVER for version in versions)  # type: ignore[attr-defined]


def _driver(node: PlainObject) -> int | None:
    found = next((labels_of(node)[key] for key in _DRIVER_LABELS if key in labels_of(node)), "")
    return int(found) if found.isdigit() else None


def _driver_symptoms(node: PlainObject, engine: EngineWorkload, *, alone: bool) -> Iterator[Symptom]:
    version = _driver(node)
    asked = f"label {_DRIVER_LABELS[0]}, at least {MIN_DRIVER}"
    if version is None or version >= MIN_DRIVER:
        return
    switched_on = {text(each, "name"): text(each, "value") for each in rows(engine.engine, "env")}
    if version in _COMPATIBLE_DRIVERS and switched_on.get("VLLM_ENABLE_CUDA_COMPATIBILITY") == "1":
        return
    fix = "upgrade the driver"
    if version in _COMPATIBLE_DRIVERS:
        fix += ", or set VLLM_ENABLE_CUDA_COMPATIBILITY=1 on the engine (data-centre GPUs only)"
    answered = f"{version}: {text(engine.engine, 'image')} ends with CUDA error 803 there"
    symptom = broken if alone else risky
    yield symptom(place(node), asked=asked, answered=answered, fix=fix)
