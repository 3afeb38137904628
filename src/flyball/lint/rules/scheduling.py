"""Rules about where pods run: GPUs, taints, spread, and the nodes under them."""

from collections.abc import Iterator

from flyball.lint.engine import Engine
from flyball.lint.node import Node
from flyball.lint.rule import (
    Hit,
    InContext,
    ObjectInContext,
    Rule,
    context_rule,
    engine_rule,
    object_rule,
    serving_rule,
)

GPU_TAINT = "nvidia.com/gpu"
HARMLESS_TAINTS = (
    GPU_TAINT, "amd.com/gpu", "google.com/tpu", "node.kubernetes.io/", "node-role.kubernetes.io/", "karpenter.sh/",
    "cloud.google.com/", "kubernetes.azure.com/", "CriticalAddonsOnly", "node.cloudprovider.kubernetes.io/",
)  # fmt: skip
"""Prefixes of taints that the GPU Operator tolerates, or that clouds and node autoscalers set and handle themselves."""
SHORT_CONSOLIDATION_S = 300.0
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_GPU_DOC = "https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/"
_OPERATOR = "GPU Operator chart, daemonsets.tolerations"


@engine_rule(
    "error",
    finds="an engine without a GPU limit",
    why="the pod gets no device: vLLM ends with a platform error, or takes a GPU behind the scheduler's back",
    reference=_GPU_DOC,
)
def no_gpu_limit(engine: Engine) -> Iterator[Hit]:
    resources = engine.container.at("resources")
    claims = resources.at("claims").items() or engine.pod.spec.at("resourceClaims").items()
    if engine.devices.exists or claims or engine.runs_on_cpu:
        return
    requested = resources.at("requests", GPU_TAINT)
    if requested.exists:
        says = (
            "nvidia.com/gpu stands under requests only: extended resources need limits, and the API server refuses it"
        )
        yield Hit(at=requested, says=says, fix=f'limits: {{nvidia.com/gpu: "{requested.text}"}}')
    elif not _device(engine):
        yield Hit(at=engine.devices, says="no limit of nvidia.com/gpu", fix='resources.limits: {nvidia.com/gpu: "1"}')


def _device(engine: Engine) -> str:
    """`--device cpu`, which older versions had, or the CPU build's own variables."""
    flag = engine.flag("device")
    return (flag.text if flag else "") or next((name for name in engine.env if name.startswith("VLLM_CPU_")), "")


@engine_rule(
    "error",
    finds="a GPU limit that is not a whole number",
    why="extended resources are integers: the API server refuses the object",
    reference=_GPU_DOC,
)
def gpu_not_whole(engine: Engine) -> Iterator[Hit]:
    number = engine.devices.number
    if engine.devices.exists and (number is None or number != int(number) or number < 1):
        says = f"{engine.devices.key_path.rpartition('limits')[2]}: {engine.devices.text} is not a whole number of GPUs"
        yield Hit(at=engine.devices, says=says, fix="a whole number; MIG or a smaller GPU for less than one")


@engine_rule(
    "warning",
    finds="a time-sliced GPU under an engine",
    why="vLLM takes its share of the memory when it starts; the second engine on the GPU dies for lack of it",
    reference="llm-d-incubation/llm-d-fast-model-actuation#720; vllm-project/vllm#42017",
)
def shared_gpu(engine: Engine) -> Iterator[Hit]:
    if engine.devices.exists and str(engine.devices.path[-1]).endswith(".shared"):
        utilization = engine.number("gpu_memory_utilization") or engine.nearest_release.gpu_memory_utilization
        says = f"a shared GPU with --gpu-memory-utilization {utilization:g}"
        yield Hit(at=engine.devices, says=says, fix="one engine a GPU, or MIG", evidence=engine.devices.text)


@serving_rule(
    "warning",
    finds="a GPU pod without a toleration of nvidia.com/gpu",
    why="GPU nodes are usually tainted with it, and only GKE adds the toleration by itself: the pod stays Pending",
    reference=f"{_GPU_DOC}; Azure/AKS#1449",
)
def no_gpu_toleration(engine: Engine) -> Iterator[Hit]:
    tolerations = engine.pod.spec.at("tolerations")
    keys = [each.at("key").text for each in tolerations.items()]
    if engine.devices.exists and engine.devices.path[-1] == GPU_TAINT and not {GPU_TAINT, ""} & set(keys):
        fix = "tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]"
        says = f"tolerates {', '.join(keys)} only" if keys else "no tolerations"
        yield Hit(at=tolerations, says=says, fix=fix, evidence=", ".join(keys))


@serving_rule(
    "warning",
    finds="a pod for nodes with a taint that locks out the GPU Operator",
    why="its DaemonSets tolerate nvidia.com/gpu only: driver, device plugin and DCGM exporter stay off the node, and"
    " no GPU is ever advertised",
    reference=_OPERATOR,
)
def tolerates_own_gpu_taint(engine: Engine) -> Iterator[Hit]:
    if not engine.devices.exists:
        return
    for toleration in engine.pod.spec.at("tolerations").items():
        key = toleration.at("key").text
        if "gpu" in key.lower() and not key.startswith(HARMLESS_TAINTS):
            says = f"tolerates {key}: the GPU Operator's DaemonSets do not"
            fix = f"taint with {GPU_TAINT}, or give the operator and the DCGM exporter a toleration of {key}"
            yield Hit(at=toleration.at("key"), says=says, fix=fix)


@object_rule(
    "warning",
    finds="a GPU node pool with a taint that locks out the GPU Operator",
    why="its DaemonSets tolerate nvidia.com/gpu only: driver, device plugin and DCGM exporter stay off the node, and"
    " no GPU is ever advertised",
    reference=_OPERATOR,
)
def taint_locks_out_operator(each: ObjectInContext) -> Iterator[Hit]:
    if each.object.kind == "NodePool" and each.object.group == "karpenter.sh":
        taints = each.object.spec.at("template", "spec", "taints")
        if not _is_gpu_pool(each.object.spec.at("template")):
            return
    elif each.object.kind == "Node" and each.object.root.at("status", "capacity", GPU_TAINT).exists:
        taints = each.object.spec.at("taints")
    else:
        return
    policies = list(each.manifests.of_kind("ClusterPolicy"))
    tolerations = [policy.spec.at("daemonsets", "tolerations").items() for policy in policies]
    tolerated = {toleration.at("key").text for of_policy in tolerations for toleration in of_policy}
    for taint in taints.items():
        key = taint.at("key").text
        if (
            not key.startswith(HARMLESS_TAINTS)
            and key not in tolerated
            and taint.at("effect").text != "PreferNoSchedule"
        ):
            says = f"taint {key}:{taint.at('effect').text} keeps the GPU Operator off these nodes"
            fix = f"key: {GPU_TAINT}, or add {key} to the operator's daemonsets.tolerations"
            yield Hit(at=taint.at("key"), says=says, fix=fix, severity="error" if policies else None)


def _is_gpu_pool(template: Node) -> bool:
    text = str(template.plain()).lower()
    return "gpu" in text or any(f"'{family}" in text for family in ("g4", "g5", "g6", "g7", "p3", "p4", "p5", "p6"))


@serving_rule(
    "warning",
    finds="a spread over zones that refuses to schedule",
    why="GPU capacity is often in one zone only; the pod then stays Pending although a GPU is free",
    reference="https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/",
)
def zone_spread_refuses(engine: Engine) -> Iterator[Hit]:
    for constraint in engine.pod.spec.at("topologySpreadConstraints").items():
        policy, key = constraint.at("whenUnsatisfiable"), constraint.at("topologyKey").text
        if key.endswith("/zone") and policy.text in ("", "DoNotSchedule"):
            says = f"{key}: {policy.text or 'DoNotSchedule, the default'}"
            yield Hit(at=policy if policy.exists else constraint, says=says, fix="whenUnsatisfiable: ScheduleAnyway")
    required = engine.pod.spec.at("affinity", "podAntiAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    for term in required.items():
        key = term.at("topologyKey").text
        if key.endswith("/zone"):
            says = f"required podAntiAffinity over {key}: no more replicas than zones, of {engine.max_replicas} wanted"
            fix = "topologySpreadConstraints with whenUnsatisfiable: ScheduleAnyway"
            yield Hit(at=term.at("topologyKey"), says=says, fix=fix)


@serving_rule(
    "warning",
    finds="an engine without CPU and memory requests",
    why="it is the first to be evicted, and it starves: loading needs memory, and every step waits for the CPU",
    reference="https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/",
)
def no_cpu_memory_requests(engine: Engine) -> Iterator[Hit]:
    resources = engine.container.at("resources")
    missing = [
        name
        for name in ("cpu", "memory")
        if not resources.at("requests", name).exists and not resources.at("limits", name).exists
    ]
    if missing:
        fix = "requests of 4 to 8 CPUs a GPU, and half the weights plus 8Gi of memory"
        yield Hit(at=resources.at("requests", missing[0]), says=f"no request of {' and '.join(missing)}", fix=fix)


@object_rule(
    "warning",
    finds="a Karpenter pool that consolidates GPU nodes sooner than a model loads",
    why="it moves pods that are still loading to a cheaper node, where they start from the beginning",
    reference="aws/karpenter-provider-aws#7414",
)
def consolidation_before_ready(each: ObjectInContext) -> Iterator[Hit]:
    template = each.object.spec.at("template")
    if each.object.kind != "NodePool" or each.object.group != "karpenter.sh" or not _is_gpu_pool(template):
        return
    after = each.object.spec.at("disruption", "consolidateAfter")
    if after.text == "Never" or (_seconds(after.text) or 0.0) >= SHORT_CONSOLIDATION_S:
        return
    says = f"consolidateAfter {after.text or '0s, the default'} is shorter than a cold start of some minutes"
    yield Hit(at=after, says=says, fix="consolidateAfter: 15m, or longer than the slowest start")


def _seconds(text: str) -> float | None:
    return float(text[:-1]) * _UNITS[text[-1]] if text[:-1].isdigit() and text[-1] in _UNITS else None


@context_rule(
    "warning",
    finds="pods that must not be disrupted, on a Karpenter pool that would wait for them for ever",
    why="an expired node then stays, tainted and paid for, until someone deletes its pods by hand",
    reference="aws/karpenter-provider-aws#7521",
)
def node_expiry_hangs(each: InContext) -> Iterator[Hit]:
    if not each.engine.pod.annotation("karpenter.sh/do-not-disrupt").is_true:
        return
    for pool in each.manifests.of_kind("NodePool"):
        grace = pool.spec.at("template", "spec", "terminationGracePeriod")
        if pool.group == "karpenter.sh" and _is_gpu_pool(pool.spec.at("template")) and not grace.exists:
            says = f"NodePool {pool.name} has no terminationGracePeriod, and {each.object.name} says do-not-disrupt"
            yield Hit(at=grace, says=says, fix="terminationGracePeriod: 30m, longer than the pods' own", within=pool)


RULES: tuple[Rule, ...] = (
    no_gpu_limit,
    gpu_not_whole,
    shared_gpu,
    no_gpu_toleration,
    tolerates_own_gpu_taint,
    taint_locks_out_operator,
    zone_spread_refuses,
    no_cpu_memory_requests,
    consolidation_before_ready,
    node_expiry_hangs,
)
