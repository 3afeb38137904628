"""The user's file: what is wanted, validated, with errors that name the key and the fix.

Pure: text in, values out. Files are read by whoever was given the path.
"""

from flyball.spec.autoscaling import BehaviorSpec, PolicySpec, RulesSpec, ScalingSpec, Signal
from flyball.spec.flags import FlagValue
from flyball.spec.kubernetes import KubernetesSpec, TolerationSpec, WeightsSpec
from flyball.spec.measured import MeasuredSpec
from flyball.spec.objective import SLO, LatencyMetric, Percentiles
from flyball.spec.reading import parse_model, parse_yaml
from flyball.spec.serving import (
    GatewaySpec,
    HardwareSpec,
    LocalSpec,
    ModelSpec,
    ProveSpec,
    ServingSpec,
    SpotSpec,
)
from flyball.spec.template import TEMPLATE
from flyball.spec.traffic import Arrivals, GammaArrivals, Lengths, LogNormal, Step, WorkloadShape
from flyball.spec.tune import FlagsSpec, NumbersSpec, TuneSpec

__all__ = [
    "SLO",
    "TEMPLATE",
    "Arrivals",
    "BehaviorSpec",
    "FlagValue",
    "FlagsSpec",
    "GammaArrivals",
    "GatewaySpec",
    "HardwareSpec",
    "KubernetesSpec",
    "LatencyMetric",
    "Lengths",
    "LocalSpec",
    "LogNormal",
    "MeasuredSpec",
    "ModelSpec",
    "NumbersSpec",
    "Percentiles",
    "PolicySpec",
    "ProveSpec",
    "RulesSpec",
    "ScalingSpec",
    "ServingSpec",
    "Signal",
    "SpotSpec",
    "Step",
    "TolerationSpec",
    "TuneSpec",
    "WeightsSpec",
    "WorkloadShape",
    "parse_model",
    "parse_yaml",
]
