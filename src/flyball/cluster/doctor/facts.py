"""`ClusterFacts`: what a live cluster answered, as plain values. All checks are functions of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from flyball.cluster.custom_kinds import MissingKind
from flyball.cluster.doctor.resource import Resource
from flyball.cluster.objects import PlainObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One series of an instant query's answer, or one item of a metrics API's."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a query returned, or why it returned nothing."""

    samples: tuple[Sample, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One endpoint that Prometheus scrapes."""

    pool: str
    """`podMonitor/llm/chat-engine/0`."""
    labels: Mapping[str, str]
    health: str
    last_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusFacts:
    """What Prometheus answered."""

    address: str
    """Empty if none is known."""
    error: str = ""
    """Why it could not be asked; empty if it answered."""
    fix: str = ""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    """By query."""
    targets: tuple[Target, ...] | None = None
    """None if it does not say (Thanos, Mimir, a managed service)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricAnswer:
    """What the metrics API answered to the very request that the HPA makes."""

    autoscaler: str
    metric: str
    path: str
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """Everything that was asked and what came back."""

    server: str
    context: str
    now: datetime
    version: str = ""
    """`v1.36.1`; empty if the API server did not answer."""
    failure: str = ""
    """What the API server did instead of answering; later questions were not asked then."""
    objects: Mapping[Resource, Sequence[PlainObject]] = field(default_factory=dict)
    unread: Mapping[Resource, str] = field(default_factory=dict)
    """Why a kind could not be listed, in a few words."""
    denied: Sequence[str] | None = None
    """What access reviews say this user may not do: `list nodes`, `patch deployments.apps`. None if not asked."""
    unserved: Sequence[MissingKind] | None = None
    """Kinds of rendered objects that the API server does not serve. None if not asked."""
    has_cluster_autoscaler: bool = False
    """Whether one reports its status in the cluster; which machines it may add is not known from it."""
    prometheus: PrometheusFacts | None = None
    """None if it was not asked."""
    metrics: Sequence[MetricAnswer] = ()

    def of(self, resource: Resource) -> Sequence[PlainObject]:
        """The objects of a kind; none if they could not be read."""
        return self.objects.get(resource, ())

    def answer(self, query: str) -> Answer:
        """Prometheus' answer to a query; an error if it was not asked."""
        known: Mapping[str, Answer] = {} if self.prometheus is None else self.prometheus.answers
        return known.get(query, Answer(error="not asked"))
