"""ScaledObject -> HPA -> Deployment as one chain: every kind of metric, and what is wrong where."""

from typing import Any

import pytest

from flyball.cluster.hpa_metrics import UNKNOWN
from flyball.cluster.scaling_chain import ScalingChain, scaling_chains
from plain_service import body, deployment, scaled_object

Object = dict[str, Any]


def hpa(metrics: list[Object], current: list[Object], conditions: list[Object] | None = None) -> Object:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat-engine"}
    spec = {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": 8, "metrics": metrics}
    status = {"currentMetrics": current, "conditions": conditions or [], "currentReplicas": 2, "desiredReplicas": 3}
    return body("autoscaling/v2", "HorizontalPodAutoscaler", "chat", spec=spec, status=status)


def the_chain(hpas: list[Object], scaled: list[Object]) -> ScalingChain:
    (chain,) = scaling_chains([deployment()], hpas, scaled, [])
    return chain


@pytest.mark.parametrize(
    ("metric", "now", "shown"),
    [
        (
            {
                "type": "Pods",
                "pods": {"metric": {"name": "w"}, "target": {"type": "AverageValue", "averageValue": "10"}},
            },
            {"type": "Pods", "pods": {"metric": {"name": "w"}, "current": {"averageValue": "10500m"}}},
            ("w", "10.5", "10"),
        ),
        (
            {"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "Value", "value": "2k"}}},
            {"type": "External", "external": {"metric": {"name": "q"}, "current": {"value": "0"}}},
            ("q", "0", "2000"),
        ),
        (
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
            },
            {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 35}}},
            ("cpu", "35", "80"),
        ),
        (
            {"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "Value", "value": "2"}}},
            {"type": "External", "external": {"metric": {"name": "another"}, "current": {"value": "9"}}},
            ("q", UNKNOWN, "2"),
        ),
    ],
)
def test_signals(metric: Object, now: Object, shown: tuple[str, str, str]) -> None:
    """Current and target in plain numbers, matched by type and name; what is not reported is unknown."""
    (signal,) = the_chain([hpa([metric], [now])], []).signals

    assert (signal.name, signal.current, signal.target) == shown


def test_what_needs_attention() -> None:
    """False where true is right, KEDA's fallback; a limit is a remark, a fleet scaled to zero is no trouble."""
    conditions = [
        {"type": "AbleToScale", "status": "False", "reason": "FailedGetScale", "message": "no"},
        {"type": "ScalingActive", "status": "False", "reason": "ScalingDisabled", "message": "replica count is zero"},
        {"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas", "message": "at the maximum"},
    ]
    scaled = scaled_object()
    scaled["status"] = {
        "conditions": [
            {"type": "Ready", "status": "True"},
            {"type": "Fallback", "status": "True", "reason": "FallbackExists", "message": "2 scalers failed"},
            {"type": "Paused", "status": "True", "message": "by annotation"},
        ]
    }
    chain = the_chain([hpa([], [], conditions)], [scaled])

    assert [(each.source, each.type) for each in chain.conditions] == [
        ("ScaledObject", "Fallback"),
        ("HPA", "AbleToScale"),
    ]
    assert not chain.is_working
    assert chain.remarks == (
        "scaling is disabled: the Deployment has no replicas",
        "limited: at the maximum",
        "paused: by annotation",
    )


def test_a_scaled_object_without_an_hpa() -> None:
    """KEDA's operator has not made one: the bounds are the ScaledObject's, and the trouble is named."""
    chain = the_chain([], [scaled_object()])

    assert (chain.min_replicas, chain.max_replicas, chain.hpa) == (1, 8, "")
    assert chain.conditions[0].message == "KEDA makes the HPA; is its operator running?"


def test_a_deployment_that_nothing_scales() -> None:
    """A gateway of fixed size has no chain."""
    assert scaling_chains([deployment("chat-gateway")], [hpa([], [])], [], []) == ()


def test_decisions_of_an_earlier_autoscaler_of_that_name_are_not_shown() -> None:
    """After a delete and an apply its events are still in the cluster, and would tell of what is mended."""
    now = hpa([], [])
    now["metadata"]["uid"] = "new"
    events = [
        {
            "involvedObject": {"kind": "HorizontalPodAutoscaler", "name": "chat", "uid": uid},
            "lastTimestamp": f"2026-11-25T10:0{number}:00Z",
            "reason": "SuccessfulRescale",
            "message": uid,
        }
        for number, uid in enumerate(("old", "new"))
    ]

    (chain,) = scaling_chains([deployment()], [now], [], events)

    assert chain.decisions == ("2026-11-25T10:01:00Z SuccessfulRescale: new",)
