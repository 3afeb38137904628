"""From the spec to the HPA policy of a local fleet: the same law as on Kubernetes, with shorter periods."""

from flyball.scaling import ExternalMetric, MetricTarget, RatePolicy, ScalingBehavior, ScalingPolicy, ScalingRules
from flyball.scaling.policy import DEFAULT_SCALE_DOWN, DEFAULT_SCALE_UP
from flyball.spec import RulesSpec, ServingSpec, Signal

SIGNAL_METRICS = {
    "in_system": "vllm:num_requests_running + vllm:num_requests_waiting",
    "waiting": "vllm:num_requests_waiting",
    "kv": "vllm:kv_cache_usage_perc",
}
"""What each signal adds up over the replicas, in vLLM's names."""

FULL_SHARE = 0.5
"""A replica is aimed at half of the sequences that it can run at once: the other half takes what arrives while the
next replica starts, which is a minute on a CPU."""

WAITING_TARGET = 10.0
KV_TARGET = 0.7


def signal_target(spec: ServingSpec, max_num_seqs: int) -> float:
    """The signal per replica to aim at: the spec's, or derived from the engine's concurrency."""
    if spec.scaling.target is not None:
        return spec.scaling.target
    derived: dict[Signal, float] = {
        "in_system": max(1.0, FULL_SHARE * max_num_seqs),
        "waiting": WAITING_TARGET,
        "kv": KV_TARGET,
    }
    return derived[spec.scaling.signal]


def local_policy(spec: ServingSpec, max_num_seqs: int) -> ScalingPolicy:
    """An External AverageValue metric, as KEDA creates: what all replicas report together, per replica."""
    behavior = spec.local.behavior
    target = MetricTarget("AverageValue", round(signal_target(spec, max_num_seqs) * 1000))
    return ScalingPolicy(
        min_replicas=spec.scaling.min,
        max_replicas=spec.scaling.max,
        metrics=(ExternalMetric(SIGNAL_METRICS[spec.scaling.signal], target),),
        behavior=ScalingBehavior(
            scale_up=_rules(behavior.scale_up, DEFAULT_SCALE_UP),
            scale_down=_rules(behavior.scale_down, DEFAULT_SCALE_DOWN),
        ),
        sync_period_s=spec.local.sync_period,
    )


def _rules(given: RulesSpec, default: ScalingRules) -> ScalingRules:
    window = given.stabilization_window
    return ScalingRules(
        stabilization_window_s=default.stabilization_window_s if window is None else round(window),
        policies=tuple(RatePolicy(policy.type, policy.value, round(policy.period)) for policy in given.policies)
        if given.policies
        else default.policies,
        select_policy=given.select_policy or default.select_policy,
        tolerance=given.tolerance,
    )
