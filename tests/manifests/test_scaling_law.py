"""The rendered scalers under the project's own HPA law, through a burst, a rollout and the loss of a replica.

A replica holds as much work as the signal's target within the objective and finishes twice as much at saturation; what
it cannot start waits. Time is virtual, one step is one sync of the controller.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from flyball.manifests import Because, Manifest, ServiceDesign
from flyball.scaling import (
    ControllerFlags,
    ExternalMetric,
    ExternalSamples,
    Observation,
    PodSamples,
    PodStatus,
    ScalingPolicy,
    ScalingState,
    from_hpa,
    record_scale,
    step,
)
from service_designs import design, of_kind, workload

SYNC_S = 15
REQUEST_S = 6.0
"""What a request takes."""
TARGET = 12.0


def policy_of(manifests: tuple[Manifest, ...]) -> ScalingPolicy:
    """Of the HPA, or of the one that KEDA makes of the ScaledObject."""
    for each in manifests:
        if each.kind == "HorizontalPodAutoscaler":
            return from_hpa(each.plain["spec"], ControllerFlags())
        if each.kind == "ScaledObject":
            spec = each.plain["spec"]
            trigger = spec["triggers"][0]
            target = {"type": trigger["metricType"], "averageValue": trigger["metadata"]["threshold"]}
            hpa = {
                "minReplicas": max(1, spec["minReplicaCount"]),
                "maxReplicas": spec["maxReplicaCount"],
                "metrics": [{"type": "External", "external": {"metric": {"name": "s0"}, "target": target}}],
                "behavior": spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"],
            }
            return from_hpa(hpa, ControllerFlags())
    raise AssertionError("nothing scales")


@dataclass(kw_only=True)
class Fleet:
    """Replicas that come after a start-up and share the work in the system evenly."""

    made: ServiceDesign
    policy: ScalingPolicy
    desired: int
    state: ScalingState = field(default_factory=ScalingState)
    ready_at_s: list[float] = field(default_factory=list)
    work: float = 0.0
    now_s: float = 0.0
    history: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ready_at_s = [0.0] * self.desired

    @property
    def ready(self) -> int:
        return sum(at <= self.now_s for at in self.ready_at_s)

    def observed(self, surge: int) -> Observation:
        """What the controller sees; replicas that load are Running and have no sample."""
        pods = [
            PodStatus(name=f"p{index}", phase="Running", ready=at <= self.now_s)
            for index, at in enumerate((*self.ready_at_s, *[math.inf] * surge))
        ]
        share = round(1000 * self.work / max(1, self.ready))
        by_pod = {pod.name: share for pod in pods if pod.ready}
        external = isinstance(self.policy.metrics[0], ExternalMetric)
        reading = ExternalSamples((round(1000 * self.work),)) if external else PodSamples(by_pod)
        return Observation(spec_replicas=self.desired, status_replicas=len(pods), pods=tuple(pods), readings=(reading,))

    def sync(self, rate: float, *, surge: int = 0) -> None:
        """15 seconds of `rate` requests a second, then the controller's decision."""
        for _ in range(SYNC_S):
            self.work += rate - min(self.work, self.ready * 2 * TARGET) / REQUEST_S
        self.decide(surge)

    def decide(self, surge: int) -> None:
        """The controller's decision about the work that there is, and what follows until the next one."""
        decision, state = step(self.policy, self.state, self.observed(surge), self.now_s)
        if decision.desired != self.desired:
            state = record_scale(self.policy, state, self.desired, decision.desired, self.now_s)
        self.state, self.desired = state, decision.desired
        started = self.now_s + self.made.cold_start_s
        while len(self.ready_at_s) < self.desired:
            self.ready_at_s.append(started)
        while len(self.ready_at_s) > self.desired:
            self.ready_at_s.remove(max(self.ready_at_s))  # those that load go first
        self.now_s += SYNC_S
        self.history.append(self.desired)


def fleet(spec: Mapping[str, Any] | None = None, *, start: int = 1, **changes: Any) -> Fleet:
    one = {
        "min_replicas": Because(1, "given"),
        "max_replicas": Because(8, "given"),
        "target": Because(TARGET, "a share"),
    }
    made = design(spec, **{**one, **changes})
    return Fleet(made=made, policy=policy_of(workload(made)), desired=start)


def rate_of(replicas: float) -> float:
    """The rate at which that many replicas each hold the target."""
    return replicas * TARGET / REQUEST_S


BY = pytest.mark.parametrize("by", ["keda", "prometheus-adapter"])


@BY
def test_a_lasting_burst_gets_its_replicas_before_the_first_of_them_serves(by: str) -> None:
    """Load for eight replicas on one: all are ordered within the time that a replica takes to come."""
    it = fleet({"scaling": {"by": by}})
    while it.desired < 8:
        it.sync(rate_of(8))
    assert it.now_s <= it.made.cold_start_s


@BY
def test_a_short_burst_orders_a_third_at_most(by: str) -> None:
    """Half a minute of the same load, and then none: the fleet does not fill up with replicas that come too late."""
    it = fleet({"scaling": {"by": by}})
    for _ in range(2):
        it.sync(rate_of(8))
    assert it.desired <= 1 + math.ceil(7 / 3)


@BY
def test_what_was_ordered_is_not_taken_back_while_it_loads(by: str) -> None:
    """The load falls as soon as help is ordered: replicas still come, and leave one at a time after the window."""
    it = fleet({"scaling": {"by": by}})
    for _ in range(2):
        it.sync(rate_of(6))
    ordered = it.desired
    assert ordered > 1
    while it.now_s < it.made.cold_start_s + 30:
        it.sync(rate_of(0.5))
        assert it.desired >= ordered
    assert it.ready == ordered
    for _ in range(400):
        it.sync(rate_of(0.5))
    steps = [before - after for before, after in zip(it.history, it.history[1:], strict=False) if before > after]
    assert it.desired == 1
    assert set(steps) == {1}


@BY
@pytest.mark.parametrize("surge", [0, 1])
def test_a_rollout_changes_nothing(by: str, surge: int) -> None:
    """While every replica is replaced, with a surge or without, the sum stays what it is and so does the number."""
    it = fleet({"scaling": {"by": by}}, start=4)
    it.work = 4 * TARGET
    for _ in range(10):
        it.sync(rate_of(4))
    for index in range(4):
        if not surge:
            it.ready_at_s[index] = it.now_s + it.made.cold_start_s  # it left; its successor loads
        for _ in range(math.ceil(it.made.cold_start_s / SYNC_S)):
            it.sync(rate_of(3.9), surge=surge)
    assert min(it.history) == 4
    assert max(it.history) <= 4 + surge


@pytest.mark.parametrize("fleet_size", [2, 8, 9, 20, 40])
def test_the_replica_beyond_the_number_is_not_taken_for_one_that_is_needed(fleet_size: int) -> None:
    """The HPA counts the surge of a rollout and keeps what it counts within its tolerance, again and again."""
    it = fleet(start=fleet_size, max_replicas=Because(max(8, fleet_size), "given"))
    it.work = fleet_size * TARGET
    for _ in range(4 * fleet_size):
        it.decide(surge=1)
    assert set(it.history) == {fleet_size}


def test_without_a_tolerance_of_its_own_a_large_fleet_would_grow_with_each_rollout() -> None:
    """What the rendered tolerance is for: 20 replicas become 22, and stay."""
    it = fleet(start=20, max_replicas=Because(40, "given"))
    assert it.policy.behavior is not None
    down = replace(it.policy.behavior.scale_down, tolerance=None)
    it.policy = replace(it.policy, behavior=replace(it.policy.behavior, scale_down=down))
    it.work = 20 * TARGET
    for surge in (1, 0):
        for _ in range(400):
            it.decide(surge)
    assert it.desired == 22


def test_the_queue_alone_forgets_a_busy_fleet_and_the_work_in_the_system_does_not() -> None:
    """Four busy replicas without a queue: on `waiting` the law goes to the minimum, on running + waiting it stays."""
    desired = {}
    for signal, seen in (("waiting", 0.0), ("in_system", 4 * TARGET)):
        it = fleet({"scaling": {"signal": signal}}, start=4)
        for _ in range(400):
            it.work = seen
            observed = it.observed(0)
            decision, state = step(it.policy, it.state, observed, it.now_s)
            if decision.desired != it.desired:
                state = record_scale(it.policy, state, it.desired, decision.desired, it.now_s)
            it.state, it.desired, it.now_s = state, decision.desired, it.now_s + SYNC_S
            it.ready_at_s = [0.0] * it.desired
        desired[signal] = it.desired
    assert desired == {"waiting": 1, "in_system": 4}


def test_the_floor_and_the_scaled_replicas_together_are_what_the_load_needs() -> None:
    """The query's deduction: whatever the load, floor + ceil((sum - floor * target) / target) = ceil(sum / target)."""
    made = design(on_demand_floor=2, target=Because(TARGET, "a share"))
    query = of_kind(workload(made), "ScaledObject")["spec"]["triggers"][0]["metadata"]["query"]
    assert query.startswith("clamp_min(")
    assert query.endswith(f" - {2 * TARGET:g}, 0)")
    for load in range(25, 200):
        assert 2 + math.ceil(max(0, load - 2 * TARGET) / TARGET) == math.ceil(load / TARGET)
