"""The replica calculator: how many replicas one metric asks for.

pkg/controller/podautoscaler/replica_calculator.go, for everything but resource (cpu, memory) metrics. Ratios are
float64 there and here, so that a ceiling falls on the same side to the last bit.
"""

import math
from collections.abc import Collection, Mapping
from fractions import Fraction
from typing import TypeAlias

from flyball.scaling.decision import LimitedBy, Proposal
from flyball.scaling.observation import ExternalSamples, MetricFailure, Observation, PodSamples, PodStatus, Reading
from flyball.scaling.policy import Metric, PodsMetric, Tolerance
from flyball.scaling.quantity import format_milli

MAX_INT32 = 2**31 - 1

_Outcome: TypeAlias = tuple[int | None, LimitedBy, str]


def propose(metric: Metric, observation: Observation, reading: Reading, tolerance: Tolerance) -> Proposal:
    """What `metric` asks for, given its `reading` at this sync. Raises ValueError if the two are not of one kind."""
    match metric, reading:
        case _, MetricFailure():
            outcome = _failure(reading.reason)
        case PodsMetric(), PodSamples():
            outcome = _pods_proposal(metric.target.milli, observation, reading.values, tolerance)
        case PodsMetric(), _:
            raise ValueError(f"metric {metric.name}: a Pods metric needs PodSamples")
        case _, ExternalSamples():
            outcome = _total_proposal(metric, observation, reading.values, tolerance)
        case _:
            raise ValueError(f"metric {metric.name}: an External or Object metric needs ExternalSamples")
    replicas, limited_by, detail = outcome
    return Proposal(metric=metric.name, replicas=replicas, limited_by=limited_by, detail=detail)


def _pods_proposal(target: int, observation: Observation, samples: Mapping[str, int], tolerance: Tolerance) -> _Outcome:
    if not samples:
        return _failure("no sample of any pod")
    if not observation.pods:
        return _failure("the target has no pods")
    ignored, pending, missing, counted = _group(observation.pods, samples)
    # Samples of pods that nobody knows stay in: the controller averages over whatever the metric source sent.
    values = {name: value for name, value in samples.items() if name not in ignored and name not in pending}
    if not values:
        return _failure("no sample of a pod that counts: all are Pending, Failed or being deleted")
    usage = _average(values.values())
    ratio = usage / target
    current = observation.spec_replicas
    measured = f"{_pods(len(values))} at {format_milli(usage)} against a target of {format_milli(target)}"
    pending_as_idle = bool(pending) and ratio > 1.0
    if not pending_as_idle and not missing:
        if tolerance.contains(ratio):
            return current, LimitedBy.TOLERANCE, f"{measured}: within {tolerance}, {current} stays"
        replicas = _ceil(ratio * counted)
        return replicas, LimitedBy.NONE, f"{measured} propose {replicas}"

    fillings = []
    if missing and ratio != 1.0:
        filling = target if ratio < 1.0 else 0
        values.update(dict.fromkeys(missing, filling))
        fillings.append(f"{len(missing)} without a sample as {format_milli(filling)}")
    if pending_as_idle:
        values.update(dict.fromkeys(pending, 0))
        fillings.append(f"{len(pending)} Pending as 0")
    if fillings:
        measured += f" ({', '.join(fillings)})"
    return _after_filling(values, target, ratio=ratio, current=current, tolerance=tolerance, measured=measured)


def _after_filling(
    values: Mapping[str, int], target: int, *, ratio: float, current: int, tolerance: Tolerance, measured: str
) -> _Outcome:
    filled = _average(values.values()) / target
    if tolerance.contains(filled):
        rule = LimitedBy.TOLERANCE if tolerance.contains(ratio) else LimitedBy.UNKNOWN_PODS
        return current, rule, f"{measured}: then within {tolerance}, {current} stays"
    replicas = _ceil(filled * len(values))
    turned = (ratio < 1.0 < filled) or (filled < 1.0 < ratio)
    against = (filled < 1.0 and replicas > current) or (filled > 1.0 and replicas < current)
    if turned or against:
        return current, LimitedBy.UNKNOWN_PODS, f"{measured}: that would turn the direction, {current} stays"
    return replicas, LimitedBy.NONE, f"{measured} propose {replicas}"


def _group(pods: Collection[PodStatus], samples: Mapping[str, int]) -> tuple[set[str], set[str], set[str], int]:
    """Names of the ignored, the Pending and the unsampled pods, and how many are left. Readiness plays no part."""
    ignored = {pod.name for pod in pods if pod.deleting or pod.phase == "Failed"}
    pending = {pod.name for pod in pods if pod.phase == "Pending"} - ignored
    missing = {pod.name for pod in pods} - ignored - pending - samples.keys()
    return ignored, pending, missing, len(pods) - len(ignored) - len(pending) - len(missing)


def _total_proposal(
    metric: Metric, observation: Observation, values: Collection[int], tolerance: Tolerance
) -> _Outcome:
    if not values:
        return _failure("the metric has no values")
    total = sum(values)
    target = metric.target.milli
    if metric.target.type == "AverageValue":
        return _average_value_proposal(total, target, observation.status_replicas, tolerance)
    current = observation.spec_replicas
    ratio = total / target
    measured = f"{format_milli(total)} against a target of {format_milli(target)}"
    if tolerance.contains(ratio):
        return current, LimitedBy.TOLERANCE, f"{measured}: within {tolerance}, {current} stays"
    if not observation.pods:
        return _failure("the target has no pods")
    ready = sum(pod.phase == "Running" and pod.ready for pod in observation.pods)
    replicas = _ceil(ratio * ready)
    return replicas, LimitedBy.NONE, f"{measured} with {_pods(ready)} ready propose {replicas}"


def _average_value_proposal(total: int, target: int, status_replicas: int, tolerance: Tolerance) -> _Outcome:
    measured = f"{format_milli(total)} over {_pods(status_replicas)} against a target of {format_milli(target)} each"
    if status_replicas and tolerance.contains(total / (target * status_replicas)):
        return status_replicas, LimitedBy.TOLERANCE, f"{measured}: within {tolerance}, {status_replicas} stays"
    replicas = _ceil(total / target)
    return replicas, LimitedBy.NONE, f"{measured} propose {replicas}"


def _average(values: Collection[int]) -> int:
    """Integer division as Go does it: towards zero."""
    return math.trunc(Fraction(sum(values), len(values)))


def _ceil(replicas: float) -> int:
    return min(math.ceil(replicas), MAX_INT32)


def _failure(reason: str) -> _Outcome:
    return None, LimitedBy.NO_METRIC, reason


def _pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"
