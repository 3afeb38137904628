"""What the controller sees at one sync."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

PodPhase: TypeAlias = Literal["Pending", "Running", "Succeeded", "Failed", "Unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PodStatus:
    """One pod of the scale target. `ready` is the Ready condition, `deleting` a set deletionTimestamp."""

    name: str
    phase: PodPhase
    ready: bool
    deleting: bool = False


@dataclass(frozen=True, slots=True)
class PodSamples:
    """The answer to a Pods metric: pod name to value in milli-units. A pod without a sample is simply absent."""

    values: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ExternalSamples:
    """The answer to an External or Object metric: values in milli-units, which the law adds up."""

    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MetricFailure:
    """The metric could not be read."""

    reason: str


Reading: TypeAlias = PodSamples | ExternalSamples | MetricFailure


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One sync's inputs. `readings` are aligned with `ScalingPolicy.metrics`; `pods` match the target's selector.

    `spec_replicas` is what the target was last asked for (the law's current replicas), `status_replicas` how many pods
    exist; they differ while a scale is under way, and External AverageValue divides by the latter.
    """

    spec_replicas: int
    status_replicas: int
    pods: tuple[PodStatus, ...]
    readings: tuple[Reading, ...]
