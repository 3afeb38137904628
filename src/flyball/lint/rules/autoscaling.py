"""Rules about the autoscaler itself: who writes replicas, between which bounds, and how fast."""

from collections.abc import Iterator

from flyball.lint.engine import Engine
from flyball.lint.lifecycle import expected_start_up
from flyball.lint.manifests import Scaling
from flyball.lint.rule import Hit, InContext, Rule, context_rule, scaling_rule, serving_rule
from flyball.lint.scaler import Signal

DEFAULT_DOWN_WINDOW_S = 300.0
"""Kubernetes' downscale stabilisation."""
SHORT_DOWN_WINDOW_S = 120.0
"""Below the fastest cold start that is reported with a warm image and a compile cache (llm-d: 100 s)."""
KEDA_COOLDOWN_S = 300.0
_HPA_DOC = "https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/"
_KEDA_DOC = "https://keda.sh/docs/latest/reference/scaledobject-spec/"


@serving_rule(
    "error",
    finds="two autoscalers on one workload",
    why="both write its replicas, every 15 s, each undoing the other; KEDA makes an HPA of its own",
    reference=f"{_KEDA_DOC}; kedacore/keda#470",
)
def two_autoscalers(engine: Engine) -> Iterator[Hit]:
    first, *others = engine.scalers or (None,)
    for other in others:
        if first is not None and other is not None:
            named = f"{first.object.kind} {first.object.name}"
            says = f"{named} and {other.object.kind} {other.object.name} both scale {engine.object.name}"
            fix = "keep one; several metrics belong into one HPA or one ScaledObject"
            yield Hit(at=other.target, says=says, fix=fix, within=other.object, evidence=engine.object.name)


@serving_rule(
    "error",
    finds="`replicas` in a workload that an autoscaler scales",
    why="every apply sets the replicas back: at peak it takes down all others at once, with their streams",
    reference=f"{_HPA_DOC}#migrating-deployments-and-statefulsets-to-horizontal-autoscaling",
)
def replicas_under_autoscaler(engine: Engine) -> Iterator[Hit]:
    replicas = engine.object.spec.at("replicas")
    if replicas.exists and engine.scalers and not engine.object.is_live:
        scaler = engine.scalers[0].object
        says = f"replicas: {replicas.text}, while {scaler.kind} {scaler.name} scales it"
        yield Hit(at=replicas, says=says, fix="remove replicas")


@scaling_rule(
    "error",
    finds="an autoscaler whose bounds leave it nothing to do",
    why="it never scales, or the API server refuses it",
    reference=_HPA_DOC,
)
def no_room_to_scale(scaling: Scaling) -> Iterator[Hit]:
    scaler = scaling.scaler
    if scaler.maximum.exists and scaler.max_replicas < max(scaler.min_replicas, 1):
        says = f"the maximum {scaler.max_replicas} is below the minimum {scaler.min_replicas}"
        yield Hit(at=scaler.maximum, says=says, fix=f"at least {scaler.min_replicas + 1}")
    elif scaler.maximum.exists and scaler.max_replicas == scaler.min_replicas:
        says = f"minimum and maximum are both {scaler.max_replicas}: it never scales"
        yield Hit(at=scaler.maximum, says=says, fix="a larger maximum, or no autoscaler", severity="warning")


@scaling_rule(
    "warning",
    finds="a scale-down window shorter than the start-up",
    why="the queue that asked for a replica is gone before it is ready: it is removed unused, not-ready pods first",
    reference=f"{_HPA_DOC}#stabilization-window; kubernetes replica_calculator.go",
)
def scale_down_window_short(scaling: Scaling) -> Iterator[Hit]:
    down = scaling.scaler.behavior.at("scaleDown", "stabilizationWindowSeconds")
    window = DEFAULT_DOWN_WINDOW_S if down.number is None else down.number
    start = expected_start_up(scaling.engine) if scaling.engine else None
    default = "" if down.exists else " (the default)"
    if start and window < start.seconds:
        says = f"the window of {window:g} s{default} < a start-up of {start.seconds:g} s ({start.because})"
        yield Hit(at=down, says=says, fix=f"stabilizationWindowSeconds: {start.seconds + 120:g} or more, up to 3600")
    elif window < SHORT_DOWN_WINDOW_S:
        says = f"the window of {window:g} s{default} is shorter than any cold start of vLLM"
        yield Hit(at=down, says=says, fix="stabilizationWindowSeconds: the slowest start-up, up to 3600")


@scaling_rule(
    "warning",
    finds="a scale-down that may remove all replicas at once",
    why="after the window every replica but the minimum is told to stop in the same second; a new peak finds none",
    reference=f"{_HPA_DOC}#scaling-policies",
)
def scale_down_at_once(scaling: Scaling) -> Iterator[Hit]:
    down = scaling.scaler.behavior.at("scaleDown")
    policies = down.at("policies").items()
    if scaling.scaler.max_replicas < 3 or down.at("selectPolicy").text == "Disabled":
        return
    everything = [
        each for each in policies if each.at("type").text == "Percent" and (each.at("value").number or 0) >= 100
    ]
    if not policies or (everything and down.at("selectPolicy").text != "Min"):
        at = everything[0].at("value") if everything else down.at("policies")
        says = f"scale-down may go from {scaling.scaler.max_replicas} to {max(scaling.scaler.min_replicas, 1)} at once"
        fix = "scaleDown.policies: [{type: Pods, value: 1, periodSeconds: 120}]"
        default = "100% every 15 s, the default" if not policies else ""
        yield Hit(at=at, says=says, fix=fix, evidence=default)


@scaling_rule(
    "warning",
    finds="a scale-up that waits",
    why="a new replica takes minutes already; waiting first adds to each of them",
    reference=f"{_HPA_DOC}#stabilization-window",
)
def scale_up_waits(scaling: Scaling) -> Iterator[Hit]:
    window = scaling.scaler.behavior.at("scaleUp", "stabilizationWindowSeconds")
    if (window.number or 0) > 60:
        says = f"scale-up waits {window.text} s before it believes a peak"
        yield Hit(at=window, says=says, fix="0 to 30")


@scaling_rule(
    "warning",
    finds="an autoscaler without tolerance",
    why="every change of the metric, however small, changes the replicas; each change moves or cuts streams",
    reference=f"{_HPA_DOC}#tolerance; KEP-4951",
)
def no_tolerance(scaling: Scaling) -> Iterator[Hit]:
    for side in ("scaleUp", "scaleDown"):
        tolerance = scaling.scaler.behavior.at(side, "tolerance")
        if tolerance.exists and (tolerance.number or 0.0) < 0.01:
            says = f"{side}.tolerance {tolerance.text}: a metric 1% off its target already scales"
            yield Hit(at=tolerance, says=says, fix="leave it out: the default is 0.1 (a target of 10 scales above 11)")


@scaling_rule(
    "error",
    finds="scale to zero by a metric that vLLM itself exports",
    why="with the last pod the metric is gone: nothing ever asks for the first pod again",
    reference="https://keda.sh/docs/latest/concepts/scaling-deployments/; kserve/kserve#5996",
)
def zero_without_signal(scaling: Scaling) -> Iterator[Hit]:
    scaler = scaling.scaler
    idle = scaler.object.spec.at("idleReplicaCount")
    if scaler.min_replicas > 0 and idle.number != 0:
        return
    if any(_outlives_the_pods(signal) for signal in scaler.signals) or not scaler.signals:
        return
    if any(other.min_replicas > 0 for other in scaling.companions):  # their metrics stay
        return
    name = "idleReplicaCount" if idle.exists else "minReplicaCount" if scaler.is_keda else "minReplicas"
    count = idle.text or scaler.minimum.text or "0 (the default)"
    says = f"{name} {count}, and every signal disappears with the last pod"
    fix = f"{name}: 1; or a signal in front of the pods, such as the gateway's queue or KEDA's http-add-on"
    yield Hit(at=idle if idle.exists else scaler.minimum, says=says, fix=fix)


def _outlives_the_pods(signal: Signal) -> bool:
    if signal.kind in ("resource", "pods"):
        return False
    if signal.query is not None:
        return "vllm:" not in signal.query.text and "DCGM_" not in signal.query.text
    return signal.rule is None or "vllm:" not in signal.rule.query


@scaling_rule(
    "warning",
    finds="a cooldown to zero shorter than the start-up",
    why="KEDA removes a pod that is still loading for the request that woke it",
    reference="superlinked/sie#293",
)
def cooldown_short(scaling: Scaling) -> Iterator[Hit]:
    scaler, start = scaling.scaler, expected_start_up(scaling.engine) if scaling.engine else None
    cooldown = scaler.object.spec.at("cooldownPeriod")
    seconds = KEDA_COOLDOWN_S if cooldown.number is None else cooldown.number
    if scaler.is_keda and scaler.min_replicas == 0 and start and seconds < start.seconds:
        says = f"cooldownPeriod {seconds:g} s < a start-up of {start.seconds:g} s ({start.because})"
        yield Hit(at=cooldown, says=says, fix=f"cooldownPeriod: {2 * start.seconds:g}")


@scaling_rule(
    "warning",
    finds="a KEDA trigger that takes a lost metric for zero",
    why="ignoreNullValues is true by default: when Prometheus loses the pods, KEDA reads 0 and scales down under load",
    reference="https://keda.sh/docs/latest/scalers/prometheus/",
)
def ignore_null_values(scaling: Scaling) -> Iterator[Hit]:
    for signal in scaling.scaler.signals:
        value = signal.node.at("metadata", "ignoreNullValues")
        if signal.kind == "prometheus" and not value.is_false:
            says = f"ignoreNullValues is {value.text or 'true (the default)'}"
            yield Hit(at=value, says=says, fix='ignoreNullValues: "false", and a fallback')


@scaling_rule(
    "warning",
    finds="a ScaledObject without fallback",
    why="while Prometheus does not answer, the replicas stay as they happen to be, however the load grows",
    reference=f"{_KEDA_DOC}#fallback",
)
def no_fallback(scaling: Scaling) -> Iterator[Hit]:
    scaler = scaling.scaler
    fallback = scaler.object.spec.at("fallback")
    if scaler.is_keda and any(signal.kind == "prometheus" for signal in scaler.signals) and not fallback.exists:
        replicas = max(scaler.min_replicas, scaler.max_replicas // 2, 1)
        yield Hit(at=fallback, says="no fallback", fix=f"fallback: {{failureThreshold: 3, replicas: {replicas}}}")


@scaling_rule(
    "error",
    finds="trigger metadata that is not text",
    why="KEDA's metadata maps text to text: the API server refuses a bare number or boolean",
    reference=_KEDA_DOC,
)
def trigger_metadata_not_text(scaling: Scaling) -> Iterator[Hit]:
    if not scaling.scaler.is_keda:
        return
    for signal in scaling.scaler.signals:
        for key, value in signal.node.at("metadata").entries():
            if isinstance(value.value, bool | int | float):
                yield Hit(at=value, says=f"{key}: {value.text} is not quoted", fix=f'{key}: "{value.text}"')


@context_rule(
    "error",
    finds="an HPA metric that no rule of the Prometheus Adapter makes",
    why="the HPA reports FailedGetPodsMetric and never scales",
    reference="kubernetes-sigs/prometheus-adapter, docs/config.md",
)
def metric_without_rule(each: InContext) -> Iterator[Hit]:
    made = {rule.metric for rule in each.manifests.adapter_rules}
    if not made or "" in made:
        return
    for scaler in each.engine.scalers:
        for signal in scaler.signals:
            if signal.kind in ("pods", "object") and signal.metric not in made:
                says = f"{signal.metric} is none of the adapter's metrics: {', '.join(sorted(made))}"
                fix = f"metric.name: {sorted(made)[0]}" if len(made) == 1 else "one of these names"
                yield Hit(at=signal.named, says=says, fix=fix, within=scaler.object)


_SUCCESSORS = {"autoscaling/v2beta1": "autoscaling/v2", "autoscaling/v2beta2": "autoscaling/v2"}


@scaling_rule(
    "error",
    finds="an HPA of an API version that Kubernetes no longer serves",
    why="the API server refuses it: v2beta1 went with 1.25, v2beta2 with 1.26",
    reference="https://kubernetes.io/docs/reference/using-api/deprecation-guide/",
)
def removed_api(scaling: Scaling) -> Iterator[Hit]:
    version = scaling.object.root.at("apiVersion")
    successor = _SUCCESSORS.get(version.text)
    if successor:
        yield Hit(at=version, says=f"{version.text} is gone", fix=f"apiVersion: {successor}")


RULES: tuple[Rule, ...] = (
    two_autoscalers,
    replicas_under_autoscaler,
    no_room_to_scale,
    scale_down_window_short,
    scale_down_at_once,
    scale_up_waits,
    no_tolerance,
    zero_without_signal,
    cooldown_short,
    ignore_null_values,
    no_fallback,
    trigger_metadata_not_text,
    metric_without_rule,
    removed_api,
)
