"""The Kubernetes HPA v2 algorithm as a pure step: `(policy, state, observation, now) -> (decision, state)`.

The live loop of a local fleet, the simulator and the replay of recorded traces call this one function, so what they say
about scaling is what a cluster would do. It follows kube-controller-manager 1.36 to the rounding: Pods, External and
Object metrics, missing samples and Pending pods, tolerance per direction, several metrics, stabilisation windows, rate
policies and the corrections that bypass them. Resource metrics (cpu, memory) and scaling to and from zero (an alpha
gate, off by default) are not part of it.

Two things that surprise: readiness plays no part for Pods metrics (a pod that is still loading its model is averaged
in, and the load it does not report counts as 0 on the way up and as the target on the way down), and the windows hold
recommendations, not replicas.

The signal to scale a vLLM fleet on is the work in the system per replica, `vllm:num_requests_running` plus
`vllm:num_requests_waiting`, and not the queue alone. The queue stays at 0 until the scheduler (or the KV pool) is full,
so it says nothing on the way up until latency is already lost; and at a queue of 0 the law proposes ceil(0 * n) = 0
replicas, so a fleet that runs flat out without a queue is told to shrink to its minimum as soon as the scale-down
window has passed. Running plus waiting rises with the first request and falls only when the work is done. The queue and
the time to first token are for alerts.
"""

from flyball.scaling.decision import Decision, LimitedBy, Proposal
from flyball.scaling.history import Recommendation, ScaleEvent, ScalingState, begin, record_scale, remember
from flyball.scaling.hpa import ControllerFlags, from_hpa, to_hpa
from flyball.scaling.law import step
from flyball.scaling.observation import (
    ExternalSamples,
    MetricFailure,
    Observation,
    PodPhase,
    PodSamples,
    PodStatus,
    Reading,
)
from flyball.scaling.policy import (
    DEFAULT_SCALE_DOWN,
    DEFAULT_SCALE_UP,
    ExternalMetric,
    Metric,
    MetricTarget,
    ObjectMetric,
    PodsMetric,
    RatePolicy,
    ScalingBehavior,
    ScalingPolicy,
    ScalingRules,
    SelectPolicy,
    Tolerance,
)
from flyball.scaling.proposal import propose
from flyball.scaling.quantity import Quantity, format_milli, milli_value, parse_quantity
from flyball.scaling.replaying import ReplayedSync, replay
from flyball.scaling.trace import RecordedSync, Trace, read_traces

__all__ = [
    "DEFAULT_SCALE_DOWN",
    "DEFAULT_SCALE_UP",
    "ControllerFlags",
    "Decision",
    "ExternalMetric",
    "ExternalSamples",
    "LimitedBy",
    "Metric",
    "MetricFailure",
    "MetricTarget",
    "ObjectMetric",
    "Observation",
    "PodPhase",
    "PodSamples",
    "PodStatus",
    "PodsMetric",
    "Proposal",
    "Quantity",
    "RatePolicy",
    "Reading",
    "Recommendation",
    "RecordedSync",
    "ReplayedSync",
    "ScaleEvent",
    "ScalingBehavior",
    "ScalingPolicy",
    "ScalingRules",
    "ScalingState",
    "SelectPolicy",
    "Tolerance",
    "Trace",
    "begin",
    "format_milli",
    "from_hpa",
    "milli_value",
    "parse_quantity",
    "propose",
    "read_traces",
    "record_scale",
    "remember",
    "replay",
    "step",
    "to_hpa",
]
