"""Rules about rolling out: a new pod needs a GPU that the old one still holds."""

from collections.abc import Iterator

from flyball.lint.engine import Engine
from flyball.lint.lifecycle import probe_budget_s
from flyball.lint.pods import selects
from flyball.lint.rule import Hit, Rule, serving_rule

DEFAULT_PROGRESS_DEADLINE_S = 600.0
_DEPLOYMENT_DOC = "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/"


@serving_rule(
    "warning",
    finds="a Deployment on GPUs with the default rolling update",
    why="25% of up to 3 replicas is surge 1 and unavailable 0: the new pod waits for a GPU that the old ones keep",
    reference=f"{_DEPLOYMENT_DOC}; defilantech/LLMKube#192; ai-runway/airunway#400",
)
def surge_deadlock(engine: Engine) -> Iterator[Hit]:
    strategy = engine.object.spec.at("strategy")
    rolling = strategy.at("rollingUpdate")
    if engine.object.kind != "Deployment" or engine.runs_on_cpu or strategy.at("type").text == "Recreate":
        return
    if rolling.at("maxSurge").exists or rolling.at("maxUnavailable").exists:
        return
    gpus = f"{engine.devices.text or '1'} GPU{'s' if (engine.devices.number or 1) > 1 else ''}"
    says = f"the default strategy needs {gpus} to spare for every rollout, or it never ends"
    fix = "maxSurge: 0, maxUnavailable: 1 without spare GPUs (2 replicas or more); maxSurge: 1, maxUnavailable: 0 with"
    yield Hit(at=strategy, says=says, fix=fix)


@serving_rule(
    "warning",
    finds="a rolling update that allows neither surge nor unavailability, or surge without naming unavailability",
    why="one of the two must be more than 0, and each missing one is 25%",
    reference=_DEPLOYMENT_DOC,
)
def half_a_strategy(engine: Engine) -> Iterator[Hit]:
    rolling = engine.object.spec.at("strategy", "rollingUpdate")
    surge, unavailable = rolling.at("maxSurge"), rolling.at("maxUnavailable")
    if engine.object.kind != "Deployment" or not rolling.exists or engine.runs_on_cpu:
        return
    if surge.exists and unavailable.exists and _is_zero(surge.text) and _is_zero(unavailable.text):
        says = "maxSurge and maxUnavailable are both 0: the API server refuses it"
        yield Hit(at=rolling, says=says, fix="maxUnavailable: 1", severity="error", evidence="0 and 0")
    elif unavailable.exists and _is_zero(unavailable.text) and not surge.exists:
        says = "maxUnavailable 0 with maxSurge 25%: every rollout needs a spare GPU"
        yield Hit(
            at=unavailable, says=says, fix="say maxSurge too: 1 with a spare GPU; else maxSurge 0, maxUnavailable 1"
        )


def _is_zero(text: str) -> bool:
    return text.rstrip("%") == "0"


@serving_rule(
    "warning",
    finds="a rollout that is declared failed before a pod can be ready",
    why="a new pod needs its start-up and often a new node; the Deployment then reports ProgressDeadlineExceeded",
    reference=_DEPLOYMENT_DOC,
)
def progress_deadline_short(engine: Engine) -> Iterator[Hit]:
    deadline, startup = engine.object.spec.at("progressDeadlineSeconds"), engine.container.at("startupProbe")
    if engine.object.kind != "Deployment" or not startup.exists:
        return
    budget = probe_budget_s(startup)
    seconds = DEFAULT_PROGRESS_DEADLINE_S if deadline.number is None else deadline.number
    if seconds <= budget:
        default = "" if deadline.exists else " (Kubernetes' default)"
        says = f"progressDeadlineSeconds {seconds:g}{default} <= the {budget:g} s that the startupProbe allows"
        fix = f"progressDeadlineSeconds: {budget + 600:g}, the start-up and ten minutes for a node"
        yield Hit(at=deadline, says=says, fix=fix)


@serving_rule(
    "warning",
    finds="several replicas with strategy Recreate",
    why="every rollout stops all replicas at once and then loads them all: an outage of a whole start-up",
    reference=_DEPLOYMENT_DOC,
)
def recreate_stops_all(engine: Engine) -> Iterator[Hit]:
    kind = engine.object.spec.at("strategy", "type")
    if kind.text == "Recreate" and engine.min_replicas > 1:
        says = f"Recreate stops all {engine.min_replicas} replicas before the first new one loads"
        yield Hit(at=kind, says=says, fix="type: RollingUpdate with maxSurge: 0, maxUnavailable: 1")


@serving_rule(
    "error",
    finds="a workload whose selector is missing or does not match its pods",
    why="apps/v1 requires it: the API server refuses the object",
    reference=_DEPLOYMENT_DOC,
)
def selector_mismatch(engine: Engine) -> Iterator[Hit]:
    if engine.object.kind not in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"):
        return
    selector, labels = engine.object.spec.at("selector"), engine.pod.root.at("metadata", "labels")
    if not selector.exists:
        yield Hit(at=selector, says="spec.selector is missing", fix="selector.matchLabels: the labels of the template")
    elif not selects(selector, engine.pod.labels):
        says = f"spec.selector does not match the template's labels ({_labels(engine) or 'none'})"
        evidence = str(selector.plain())
        yield Hit(at=selector, says=says, fix="give both the same labels", evidence=evidence)
    elif not labels.exists:
        yield Hit(at=labels, says="the pod template has no labels", fix="metadata.labels: those of spec.selector")


def _labels(engine: Engine) -> str:
    return ", ".join(f"{key}={value}" for key, value in engine.pod.labels.items())


@serving_rule(
    "warning",
    finds="a scaled StatefulSet that starts its pods one after the other",
    why="each pod waits for the one before to be ready: scaling up by 3 takes three start-ups",
    reference="https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#pod-management-policies",
)
def ordered_start(engine: Engine) -> Iterator[Hit]:
    policy = engine.object.spec.at("podManagementPolicy")
    if engine.object.kind == "StatefulSet" and engine.max_replicas > 1 and policy.text != "Parallel":
        says = (
            f"podManagementPolicy {policy.text or 'OrderedReady, the default'}: {engine.max_replicas} replicas in turn"
        )
        yield Hit(at=policy, says=says, fix="podManagementPolicy: Parallel, or a Deployment")


RULES: tuple[Rule, ...] = (
    surge_deadlock,
    half_a_strategy,
    progress_deadline_short,
    recreate_stops_all,
    selector_mismatch,
    ordered_start,
)
