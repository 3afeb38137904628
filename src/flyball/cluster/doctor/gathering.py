"""Asks a cluster everything that the chain needs to know, and changes nothing: reads and access reviews only.

What may not be read is a fact too, and the walk goes on without it. An API server that stops answering ends the
gathering; what it has said until then is kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from flyball.cluster.api_server import ApiServer
from flyball.cluster.custom_kinds import MissingKind, missing_kinds
from flyball.cluster.doctor.autoscaler import autoscalers_of
from flyball.cluster.doctor.expected import ExpectedService
from flyball.cluster.doctor.facts import Answer, ClusterFacts, MetricAnswer, PrometheusFacts, Sample
from flyball.cluster.doctor.promql_api import ask, directly, service_of, service_path, through
from flyball.cluster.doctor.questions import questions
from flyball.cluster.doctor.reading import amount, name, namespace, place, rows, table, text
from flyball.cluster.doctor.resource import ALL_PODS, AUTOSCALERS, PROMETHEUSES, RESOURCES, Resource
from flyball.cluster.hpa_metrics import metric_name, metric_source
from flyball.cluster.objects import ObjectKey, PlainObject, dig, key_of
from flyball.cluster.refusals import ForbiddenError, RefusedError, UnreachableError
from flyball.errors import OutsideError

_GONE = "the API server stopped answering"
_UNAUTHORIZED = 401
_METRICS_APIS = {"External": "external.metrics.k8s.io", "Pods": "custom.metrics.k8s.io"}
_AUTOSCALER_STATUS = ObjectKey(
    api_version="v1", kind="ConfigMap", name="cluster-autoscaler-status", namespace="kube-system"
)
"""Where the cluster autoscaler reports (its --status-config-map-name)."""


@dataclass(slots=True, kw_only=True)
class _Gathered:
    """What has been answered so far."""

    version: str = ""
    objects: dict[Resource, Sequence[PlainObject]] = field(default_factory=dict)
    unread: dict[Resource, str] = field(default_factory=dict)
    denied: list[str] | None = None
    unserved: Sequence[MissingKind] | None = None
    has_cluster_autoscaler: bool = False
    prometheus: PrometheusFacts | None = None
    metrics: list[MetricAnswer] = field(default_factory=list)


def gather(api: ApiServer, expected: ExpectedService, *, now: datetime, prometheus: str | None = None) -> ClusterFacts:
    """All that a walk needs. `prometheus` is a URL to ask directly, instead of the Service that the scaler names."""
    found, failure = _Gathered(), ""
    try:
        _ask_everything(api, expected, found, prometheus)
    except (UnreachableError, RefusedError) as error:
        failure = error.what
        found.unread |= {each: _GONE for each in RESOURCES if each not in found.objects and each not in found.unread}
    return ClusterFacts(
        server=api.target.server,
        context=api.target.context,
        now=now,
        version=found.version,
        failure=failure,
        objects=found.objects,
        unread=found.unread,
        denied=found.denied,
        unserved=found.unserved,
        has_cluster_autoscaler=found.has_cluster_autoscaler,
        prometheus=found.prometheus,
        metrics=found.metrics,
    )


def _ask_everything(api: ApiServer, expected: ExpectedService, found: _Gathered, prometheus: str | None) -> None:
    found.version = text(api.read("/version"), "gitVersion") or "an unknown version"
    found.unserved = _unserved(api, expected.objects)
    denied = found.denied = list(_denied_writes(api, expected))
    for resource in RESOURCES:
        if _may(api, "list", resource.group, resource.plural, _scope(resource, expected)):
            _list(api, resource, expected, found)
        else:
            denied.append(f"list {resource.label}")
            found.unread[resource] = "no permission"
    found.has_cluster_autoscaler = _has_cluster_autoscaler(api)
    found.prometheus = _prometheus(api, expected, found, prometheus)
    found.metrics += _metrics(api, expected, found)


def _scope(resource: Resource, expected: ExpectedService) -> str:
    return expected.namespace if resource.scope == "namespace" else ""


def _list(api: ApiServer, resource: Resource, expected: ExpectedService, found: _Gathered) -> None:
    fields = "status.phase!=Succeeded,status.phase!=Failed" if resource is ALL_PODS else ""
    try:
        found.objects[resource] = api.list(
            resource.api_version, resource.kind, namespace=_scope(resource, expected), fields=fields
        )
    except RefusedError as error:
        if error.status == _UNAUTHORIZED:
            raise
        found.unread[resource] = "no permission" if isinstance(error, ForbiddenError) else error.what


def _unserved(api: ApiServer, objects: Sequence[PlainObject]) -> Sequence[MissingKind]:
    keys = [key_of(each) for each in objects]
    return missing_kinds(
        [
            (key, api.discovery.other_versions(key.api_version, key.kind))
            for key in keys
            if api.discovery.kind(key.api_version, key.kind) is None
        ]
    )


def _denied_writes(api: ApiServer, expected: ExpectedService) -> Iterator[str]:
    kinds = dict.fromkeys((text(each, "apiVersion"), text(each, "kind")) for each in expected.objects)
    for version, kind in kinds:
        served = api.discovery.kind(version, kind)
        if served is not None:
            scope = expected.namespace if served.is_namespaced else ""
            if not _may(api, "patch", version.rpartition("/")[0], served.plural, scope):
                yield f"patch {served.resource}"


def _may(api: ApiServer, verb: str, group: str, plural: str, where: str) -> bool:
    """What a SelfSubjectAccessReview says; yes if the server does not review, for then only trying tells."""
    attributes = {"verb": verb, "group": group, "resource": plural} | ({"namespace": where} if where else {})
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "metadata": {},
        "spec": {"resourceAttributes": attributes},
    }
    try:
        return bool(dig(api.create(review), "status", "allowed"))
    except RefusedError as error:
        if error.status == _UNAUTHORIZED:
            raise
        return True


def _has_cluster_autoscaler(api: ApiServer) -> bool:
    try:
        return api.get(_AUTOSCALER_STATUS) is not None
    except RefusedError:
        return False


def _prometheus(api: ApiServer, expected: ExpectedService, found: _Gathered, given: str | None) -> PrometheusFacts:
    operated = found.objects.get(PROMETHEUSES) or ()
    # The operator makes a Service of this name, with this port, for every Prometheus object.
    usual = f"http://prometheus-operated.{namespace(operated[0])}.svc:9090" if operated else ""
    address = given or expected.prometheus or usual
    if not address:
        return PrometheusFacts(address="")
    pools = [
        f"podMonitor/{namespace(each)}/{name(each)}/{number}"  # as the operator names them
        for each in expected.of("PodMonitor")
        for number, _ in enumerate(rows(each, "spec", "podMetricsEndpoints"))
    ]
    path = None if given else service_path(address, expected.namespace)
    if path is None:
        with directly(address) as reader:
            return ask(reader, address, questions(expected), pools)
    answered = ask(through(api, path), address, questions(expected), pools)
    if answered.error or any(each.error for each in answered.answers.values()):
        api.read("/version")  # raises if it is the API server, and not Prometheus behind it, that fell silent
    service = service_of(address, expected.namespace)
    if answered.error and service is not None and _is_missing(api, service):
        error = f"no Service {service.name} in namespace {service.namespace}"
        return PrometheusFacts(address=address, error=error, fix="correct kubernetes.prometheus, or --prometheus URL")
    return answered


def _is_missing(api: ApiServer, key: ObjectKey) -> bool:
    try:
        return api.get(key) is None
    except RefusedError:
        return False


def _metrics(api: ApiServer, expected: ExpectedService, found: _Gathered) -> Iterator[MetricAnswer]:
    for engine in expected.engines:
        for autoscaler in autoscalers_of(engine, found.objects.get(AUTOSCALERS, ())):
            for metric in rows(autoscaler, "spec", "metrics"):
                group = _METRICS_APIS.get(text(metric, "type"))
                if group is not None:
                    what = metric_name(metric)
                    inside = "pods/*/" if metric["type"] == "Pods" else ""
                    path = f"/apis/{group}/v1beta1/namespaces/{expected.namespace}/{inside}{what}"
                    asked = engine.selector if inside else table(metric_source(metric), "metric", "selector")
                    answer = _metric(api, path, table(asked, "matchLabels"))
                    yield MetricAnswer(autoscaler=place(autoscaler), metric=what, path=path, answer=answer)


def _metric(api: ApiServer, path: str, labels: Mapping[str, str]) -> Answer:
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    try:
        document = api.read(path, {"labelSelector": selector} if selector else None)
    except UnreachableError:
        raise
    except OutsideError as error:
        return Answer(error=error.what)
    if document is None:
        return Answer(error="404: the metrics API does not know it")
    items = rows(document, "items")
    return Answer(
        samples=tuple(
            Sample(
                labels={"pod": text(each, "describedObject", "name"), **table(each, "metricLabels")},
                value=float(amount(each.get("value"))),
            )
            for each in items
        )
    )
