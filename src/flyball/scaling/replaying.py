"""Feeds recorded syncs through the law and compares."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flyball.errors import UsageError
from flyball.scaling.decision import Decision, LimitedBy
from flyball.scaling.history import ScalingState, begin, record_scale, remember
from flyball.scaling.hpa import ControllerFlags, from_hpa
from flyball.scaling.law import step
from flyball.scaling.observation import ExternalSamples, MetricFailure, Observation, PodSamples, PodStatus, Reading
from flyball.scaling.policy import Metric, PodsMetric, ScalingPolicy
from flyball.scaling.trace import FIX, RecordedQuery, RecordedSync, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedSync:
    """One recorded sync and the law's decision at its inputs; None if the scale could not be read at that sync."""

    scenario: str
    sync: RecordedSync
    at_s: float
    decision: Decision | None

    @property
    def proposal(self) -> int | None:
        return self.decision.proposal if self.decision else None

    @property
    def desired(self) -> int | None:
        return self.decision.desired if self.decision else self.sync.scale_spec_replicas

    @property
    def reason(self) -> str:
        return self.decision.reason if self.decision else f"the scale could not be read ({self.sync.scale_get_code})"

    @property
    def limited_by(self) -> LimitedBy | None:
        return self.decision.limited_by if self.decision else None

    @property
    def agrees(self) -> bool | None:
        """Whether the controller proposed and decided the same; None if the trace does not say what it did."""
        if not self.sync.has_outcome:
            return None
        return (self.proposal, self.desired) == (self.sync.proposal, self.sync.replicas_after)


def replay(trace: Trace, *, source: str) -> Iterator[ReplayedSync]:
    """Every sync of `trace` in order. Raises UsageError naming `source`, the scenario, the sync and the field.

    Inputs and times are the recorded ones, outcomes the law's own: what the controller did is compared, not used. Only
    at a sync that the recorder marks as a race the recorded outcome enters the memory, so that the following syncs are
    judged by what the controller knew. A proposal enters it at `proposal_t`, a write at `set_t`. Deleting an HPA
    forgets everything. A second HPA on the target (`hpa` in an event) has a memory of its own.
    """
    place = f"{source}: scenario {trace.name}"
    flags = ControllerFlags.from_mapping(trace.controller_flags, where=f"{place}: controller_flags")
    spec = trace.hpa_spec or trace.hpa_spec_submitted or {}
    specs: dict[str | None, dict[str, Any]] = {}
    policies: dict[str | None, ScalingPolicy] = {}
    states: dict[str | None, ScalingState] = {}
    for event in trace.recorded(source=source):
        if isinstance(event, RecordedSync):
            if event.hpa not in policies:
                policies[event.hpa] = from_hpa(spec, flags, where=f"{place}: hpa_spec")
            state = states.get(event.hpa, ScalingState())
            replayed, state = _replay_sync(trace.name, policies[event.hpa], state, event, f"{place}, sync {event.n}")
            states[event.hpa] = state
            yield replayed
        elif event.action == "hpa-deleted":
            states[event.hpa] = ScalingState()
        elif event.action == "hpa-spec":
            specs[event.hpa] = merge_patch(specs.get(event.hpa, spec), event.patch)
            policies[event.hpa] = from_hpa(specs[event.hpa], flags, where=f"{place}, spec patched at {event.t:g} s")


def merge_patch(document: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """`document` after a JSON merge patch (RFC 7386)."""
    merged = {key: value for key, value in document.items() if patch.get(key, value) is not None}
    for key, value in patch.items():
        if isinstance(value, Mapping):
            below = merged.get(key)
            merged[key] = merge_patch(below if isinstance(below, Mapping) else {}, value)
        elif value is not None:
            merged[key] = value
    return merged


def _replay_sync(
    scenario: str, policy: ScalingPolicy, state: ScalingState, sync: RecordedSync, where: str
) -> tuple[ReplayedSync, ScalingState]:
    now_s = sync.t if sync.proposal_t is None else sync.proposal_t
    current = sync.scale_spec_replicas
    if current is None:
        if sync.scale_get_code is None:
            raise UsageError(f"{where}: scale_spec_replicas: Field required", fix=FIX)
        return ReplayedSync(scenario=scenario, sync=sync, at_s=now_s, decision=None), state
    state = begin(state, current, sync.t)
    observation = Observation(
        spec_replicas=current,
        status_replicas=current if sync.scale_status_replicas is None else sync.scale_status_replicas,
        pods=tuple(
            PodStatus(name=name, phase=pod.phase, ready=pod.ready, deleting=pod.deleting)
            for name, pod in sync.pods.items()
        ),
        readings=_readings(policy, sync, where),
    )
    decision, after = step(policy, state, observation, now_s)
    replicas = decision.desired
    if sync.racy and sync.proposal is not None:
        replicas = current if sync.set_replicas is None else sync.set_replicas
        after = remember(policy, state, max(sync.proposal, 0), now_s)
    set_s = now_s if sync.set_t is None else sync.set_t
    after = record_scale(policy, after, current, replicas, set_s)
    return ReplayedSync(scenario=scenario, sync=sync, at_s=now_s, decision=decision), after


def _readings(policy: ScalingPolicy, sync: RecordedSync, where: str) -> tuple[Reading, ...]:
    """The recorded answer for each metric of the policy, in order; a metric that was not asked for is a failure."""
    answers = list(sync.queries)
    readings: list[Reading] = []
    for metric in policy.metrics:
        answer = next((answer for answer in answers if answer.metric == metric.name), None)
        if answer is None:
            readings.append(MetricFailure("not queried at this sync"))
        else:
            answers.remove(answer)
            readings.append(_reading(metric, answer, where))
    return tuple(readings)


def _reading(metric: Metric, answer: RecordedQuery, where: str) -> Reading:
    if answer.error is not None:
        return MetricFailure(f"HTTP {answer.error}")
    if isinstance(metric, PodsMetric) and answer.values is not None:
        return PodSamples(answer.values)
    if not isinstance(metric, PodsMetric) and answer.external is not None:
        return ExternalSamples(tuple(answer.external))
    wanted = "values" if isinstance(metric, PodsMetric) else "external"
    raise UsageError(f"{where}: the query of metric {metric.name} has neither {wanted!r} nor 'error'", fix=FIX)
