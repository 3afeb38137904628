"""What the ScaledObject and the HPA say of themselves: do they work, at what value, within which bounds?"""

from collections.abc import Iterator, Sequence

from flyball.cluster.conditions import SCALED_TO_ZERO, condition, conditions, says, troubles
from flyball.cluster.doctor.expected import EngineWorkload, ExpectedService, targets
from flyball.cluster.doctor.facts import ClusterFacts
from flyball.cluster.doctor.reading import name, named, place, table, text
from flyball.cluster.doctor.resource import AUTOSCALERS, SCALED_OBJECTS
from flyball.cluster.doctor.symptom import Checked, Symptom, broken, risky
from flyball.cluster.hpa_metrics import UNKNOWN, signals
from flyball.cluster.objects import PlainObject, dig

_PAUSED = ("autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas", "autoscaling.keda.sh/paused-scale-out")
_FIXES = {
    "FailedGetExternalMetric": "KEDA's operator log says what Prometheus answered it (address, authModes, CA)",
    "FailedGetPodsMetric": "the adapter has no value for these pods: its rule, and its log",
    "FailedGetScale": "the target does not exist under that name and API version",
    SCALED_TO_ZERO: "the Deployment has 0 replicas, and an HPA leaves it there: scale it to the minimum once",
    "AmbiguousSelector": "two HPAs select the same pods: make the selectors of their Deployments differ",
    "InvalidSelector": "the Deployment's selector cannot be read",
}
"""By the reason of an HPA's condition (kubernetes, pkg/controller/podautoscaler/horizontal.go)."""


def check_scaled_object(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """KEDA took the ScaledObject, reads its trigger, and is neither paused nor on its fallback."""
    wanted = expected.of("ScaledObject")
    symptoms = [symptom for each in wanted for symptom in _scaled_object_symptoms(facts, each)]
    return Checked(answer=f"{', '.join(map(name, wanted))} ready" if wanted else "KEDA is not used", symptoms=symptoms)


def _scaled_object_symptoms(facts: ClusterFacts, wanted: PlainObject) -> Iterator[Symptom]:
    live = named(facts.of(SCALED_OBJECTS), name(wanted))
    if live is None:
        yield broken(place(wanted), asked="the ScaledObject", answered="not there", fix="`flyball apply` creates it")
        return
    paused = [key for key in _PAUSED if key in table(live, "metadata", "annotations")]
    if paused:
        fix = f"kubectl annotate scaledobject {name(live)} {paused[0]}-"
        yield broken(place(live), asked="annotations", answered=f"{paused[0]}: KEDA leaves the replicas alone", fix=fix)
    if not condition(live, "Ready"):
        fix = "is KEDA's operator running, and does it watch this namespace (WATCH_NAMESPACE)?"
        yield broken(place(live), asked="condition Ready", answered="no condition at all", fix=fix)
    for found in troubles(live):
        kind, answered = text(found, "type"), f"{text(found, 'status')}, {says(found)}"
        fix = "the message is KEDA's: the query, the address or the target is wrong"
        if kind == "Fallback":
            number = text(live, "spec", "fallback", "replicas")
            answered = f"{answered}: {number} replicas, whatever the load".replace(", :", ":")
            fix = "repair the way from KEDA to Prometheus; Ready stays True meanwhile"
        yield broken(place(live), asked=f"condition {kind}", answered=answered, fix=fix)


def autoscalers_of(engine: EngineWorkload, autoscalers: Sequence[PlainObject]) -> Sequence[PlainObject]:
    return [each for each in autoscalers if targets(each, engine.object)]


def check_autoscaler(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """The HPA of each scaled workload: conditions, a metric that is not <unknown>, the rendered bounds."""
    scaled = [engine for engine in expected.engines if engine.scaler is not None]
    symptoms: list[Symptom] = []
    answers = []
    for engine in scaled:
        found = autoscalers_of(engine, facts.of(AUTOSCALERS))
        if not found:
            fix = "KEDA makes it from the ScaledObject; with the adapter `flyball apply` does"
            asked = "an HPA that scales it"
            symptoms.append(broken(place(engine.object), asked=asked, answered="there is none", fix=fix))
        for each in found:
            symptoms += _autoscaler_symptoms(each, engine)
            current, desired = (text(each, "status", key) or "0" for key in ("currentReplicas", "desiredReplicas"))
            answers.append(f"{name(each)} has {current} and wants {desired}")
    return Checked(answer="; ".join(answers) or "nothing is scaled", symptoms=symptoms)


def _autoscaler_symptoms(autoscaler: PlainObject, engine: EngineWorkload) -> Iterator[Symptom]:
    here = place(autoscaler)
    for found in troubles(autoscaler):
        if found.get("reason") != SCALED_TO_ZERO or engine.least:  # KEDA brings it back from 0
            fix = _FIXES.get(text(found, "reason"), "the message is the HPA controller's own")
            answered = f"{text(found, 'status')}, {says(found)}"
            yield broken(here, asked=f"condition {text(found, 'type')}", answered=answered, fix=fix)
    if not conditions(autoscaler):
        fix = "wait one sync period (15 s); if it stays, the controller manager does not run"
        yield risky(here, asked="conditions", answered="none yet", fix=fix)
    elif condition(autoscaler, "ScalingActive").get("status") == "True":
        yield from _unknown(autoscaler)
    limited = condition(autoscaler, "ScalingLimited")
    if limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas":
        fix = "raise scaling.max if there are GPUs, or accept the queue"
        yield risky(here, asked="condition ScalingLimited", answered=says(limited), fix=fix)
    bounds = (dig(autoscaler, "spec", "minReplicas", default=1), dig(autoscaler, "spec", "maxReplicas"))
    rendered = (max(engine.least, 1), engine.most)  # an HPA's minimum is 1 where KEDA's is 0
    if bounds != rendered:
        answered = f"{bounds[0]} to {bounds[1]}, not {rendered[0]} to {rendered[1]} as rendered"
        yield risky(here, asked="its bounds", answered=answered, fix="`flyball diff` shows who differs")


def _unknown(autoscaler: PlainObject) -> Iterator[Symptom]:
    """Metrics of the spec without a current value: what kubectl shows as <unknown>."""
    for signal in signals(autoscaler):
        if signal.current == UNKNOWN:
            fix = "the metrics API gave none at the last sync: the links before this one say why"
            asked = f"the current value of {signal.name}"
            yield broken(place(autoscaler), asked=asked, answered="<unknown>", fix=fix)
