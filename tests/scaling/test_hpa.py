"""The autoscaling/v2 spec, as the API server defaults and validates it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.errors import UsageError
from flyball.scaling import (
    DEFAULT_SCALE_DOWN,
    DEFAULT_SCALE_UP,
    ControllerFlags,
    ExternalMetric,
    Metric,
    MetricTarget,
    ObjectMetric,
    PodsMetric,
    RatePolicy,
    ScalingBehavior,
    ScalingPolicy,
    ScalingRules,
    from_hpa,
    to_hpa,
)

PODS = {"type": "Pods", "pods": {"metric": {"name": "load"}, "target": {"type": "AverageValue", "averageValue": "10"}}}


def external(target: dict[str, Any]) -> dict[str, Any]:
    return {"type": "External", "external": {"metric": {"name": "queue", "selector": {}}, "target": target}}


def spec(**changes: Any) -> dict[str, Any]:
    return {"maxReplicas": 5, "metrics": [PODS], **changes}


def test_what_is_not_given_has_the_api_servers_defaults() -> None:
    """One replica at least, no behavior, the controller's flags."""
    policy = from_hpa(spec(scaleTargetRef={"kind": "Deployment", "name": "web"}))
    assert policy == ScalingPolicy(
        min_replicas=1, max_replicas=5, metrics=(PodsMetric("load", MetricTarget("AverageValue", 10_000)),)
    )
    assert (policy.sync_period_s, policy.downscale_stabilization_s, policy.tolerance) == (15, 300, 0.1)


@pytest.mark.parametrize(
    ("behavior", "expected"),
    [
        ({}, ScalingBehavior()),
        ({"scaleUp": {}}, ScalingBehavior()),
        (
            {"scaleDown": {"stabilizationWindowSeconds": 0}},
            ScalingBehavior(
                scale_down=ScalingRules(stabilization_window_s=0, policies=(RatePolicy("Percent", 100, 15),))
            ),
        ),
        (
            {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 30}], "tolerance": "50m"}},
            ScalingBehavior(
                scale_up=ScalingRules(stabilization_window_s=0, policies=(RatePolicy("Pods", 1, 30),), tolerance=0.05)
            ),
        ),
        (
            {"scaleUp": {"selectPolicy": "Disabled", "tolerance": 0}},
            ScalingBehavior(
                scale_up=ScalingRules(
                    stabilization_window_s=0,
                    policies=DEFAULT_SCALE_UP.policies,
                    select_policy="Disabled",
                    tolerance=0.0,
                )
            ),
        ),
    ],
)
def test_behavior_is_filled_in_field_by_field(behavior: dict[str, Any], expected: ScalingBehavior) -> None:
    """Only where the section is given at all; policies are replaced as a whole."""
    assert from_hpa(spec(behavior=behavior)).behavior == expected


def test_the_default_scale_down_window_is_the_controllers() -> None:
    """The API server leaves it empty; scale-up has 0."""
    policy = from_hpa(spec(behavior={}), ControllerFlags(downscale_stabilization_s=20))
    assert (policy.scale_up_window_s, policy.scale_down_window_s) == (0, 20)
    assert DEFAULT_SCALE_DOWN.stabilization_window_s is None


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (
            external({"type": "AverageValue", "averageValue": "2k"}),
            ExternalMetric("queue", MetricTarget("AverageValue", 2_000_000)),
        ),
        (external({"type": "Value", "value": 7}), ExternalMetric("queue", MetricTarget("Value", 7_000))),
        (
            {
                "type": "Object",
                "object": {
                    "metric": {"name": "rps"},
                    "describedObject": {"kind": "Ingress", "name": "web"},
                    "target": {"type": "Value", "value": "500m"},
                },
            },
            ObjectMetric("rps", MetricTarget("Value", 500)),
        ),
    ],
)
def test_metric_sources(metric: dict[str, Any], expected: Metric) -> None:
    """External and Object metrics take both kinds of target."""
    assert from_hpa(spec(metrics=[metric])).metrics == (expected,)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"maxReplicas": 0}, "maxReplicas"),
        ({"maxReplicas": "5"}, "maxReplicas"),
        ({"minReplicas": 0}, "minReplicas"),
        ({"minReplicas": 6}, "minReplicas 6 is more than maxReplicas 5"),
        ({"metrics": []}, "metrics"),
        ({"metrics": [{"type": "Resource", "resource": {"name": "cpu"}}]}, "metrics[0]: a metric of type 'Resource'"),
        ({"metrics": [{"type": "Pods"}]}, "metrics[0]"),
        ({"metrics": [PODS, external({"type": "Value"})]}, "metrics[1].external.target: Value without its value"),
        ({"metrics": [external({"type": "AverageValue", "averageValue": "0"})]}, "averageValue"),
        ({"metrics": [external({"type": "AverageValue", "averageValue": "ten"})]}, "is not a Kubernetes quantity"),
        (
            {"metrics": [{"type": "Pods", "pods": {**PODS["pods"], "target": {"type": "Value", "value": 1}}}]},  # type: ignore[dict-item]
            "metrics[0].pods.target",
        ),
        ({"behavior": {"scaleUp": {"policies": []}}}, "behavior.scaleUp.policies"),
        (
            {"behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 0, "periodSeconds": 1}]}}},
            "policies[0].value",
        ),
        ({"behavior": {"scaleDown": {"stabilizationWindowSeconds": 3601}}}, "stabilizationWindowSeconds"),
        ({"behavior": {"scaleDown": {"stabilisationWindowSeconds": 60}}}, "stabilisationWindowSeconds"),
        ({"behavior": {"scaleUp": {"tolerance": "-1"}}}, "tolerance"),
    ],
)
def test_refusals_name_the_field(changes: dict[str, Any], what: str) -> None:
    """What the API server refuses, and resource metrics, end in one line with the path."""
    with pytest.raises(UsageError) as caught:
        from_hpa(spec(**changes), where="hpa.yaml")
    assert caught.value.what.startswith("hpa.yaml: ")
    assert what in caught.value.what
    assert caught.value.fix


def test_controller_flags_in_gos_durations() -> None:
    """What is absent has the controller's default."""
    flags = ControllerFlags.from_mapping(
        {"horizontal-pod-autoscaler-downscale-stabilization": "5m30s", "kube-api-qps": 5}
    )
    assert flags == ControllerFlags(sync_period_s=15, downscale_stabilization_s=330, tolerance=0.1)


@pytest.mark.parametrize(
    "flags",
    [
        {"horizontal-pod-autoscaler-sync-period": "soon"},
        {"horizontal-pod-autoscaler-sync-period": 15},
        {"horizontal-pod-autoscaler-tolerance": []},
    ],
)
def test_wrong_controller_flags_are_the_users_mistake(flags: dict[str, Any]) -> None:
    """Not a traceback."""
    with pytest.raises(UsageError, match="controller flags"):
        ControllerFlags.from_mapping(flags)


@pytest.mark.parametrize("bounds", [(0, 5), (6, 5)])
def test_a_policy_refuses_impossible_bounds(bounds: tuple[int, int]) -> None:
    """However it was made."""
    metrics: tuple[Metric, ...] = (PodsMetric("load", MetricTarget("AverageValue", 1)),)
    with pytest.raises(ValueError, match="1 <= min <= max"):
        ScalingPolicy(min_replicas=bounds[0], max_replicas=bounds[1], metrics=metrics)


def test_a_policy_needs_a_metric_and_rules_a_policy() -> None:
    """Without one there is nothing to compute."""
    with pytest.raises(ValueError, match="metric"):
        ScalingPolicy(max_replicas=1, metrics=())
    with pytest.raises(ValueError, match="Disabled"):
        ScalingRules(stabilization_window_s=0, policies=())


rate_policies = st.builds(RatePolicy, st.sampled_from(["Pods", "Percent"]), st.integers(1, 200), st.integers(1, 1800))
scaling_rules = st.builds(
    ScalingRules,
    stabilization_window_s=st.integers(0, 3600),
    policies=st.lists(rate_policies, min_size=1, max_size=3).map(tuple),
    select_policy=st.sampled_from(["Max", "Min", "Disabled"]),
    tolerance=st.none() | st.sampled_from([0.0, 0.05, 0.25, 1.0]),
)
targets = st.builds(MetricTarget, st.just("AverageValue"), st.integers(1, 10**9))
metrics = st.one_of(
    st.builds(PodsMetric, st.just("load"), targets),
    st.builds(
        ExternalMetric, st.just("queue"), targets | st.builds(MetricTarget, st.just("Value"), st.integers(1, 10**9))
    ),
    st.builds(ObjectMetric, st.just("rps"), targets),
)


@given(
    policy=st.builds(
        ScalingPolicy,
        min_replicas=st.integers(1, 5),
        max_replicas=st.integers(5, 50),
        metrics=st.lists(metrics, min_size=1, max_size=3).map(tuple),
        behavior=st.none() | st.builds(ScalingBehavior, scale_up=scaling_rules, scale_down=scaling_rules),
    )
)
def test_a_written_policy_reads_back(policy: ScalingPolicy) -> None:
    """What manifests carry is the policy that was simulated."""
    assert from_hpa(to_hpa(policy)) == policy


def test_a_default_scale_down_window_stays_absent() -> None:
    """None is the controller's window, and 0 is not."""
    policy = ScalingPolicy(
        max_replicas=5, metrics=(PodsMetric("load", MetricTarget("AverageValue", 1000)),), behavior=ScalingBehavior()
    )
    assert "stabilizationWindowSeconds" not in to_hpa(policy)["behavior"]["scaleDown"]
    assert from_hpa(to_hpa(policy)) == policy
