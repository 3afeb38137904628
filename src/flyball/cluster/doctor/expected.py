"""`ExpectedService`: what the rendered objects ask of a cluster, read off the objects themselves."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml

from flyball.cluster.doctor.reading import amount, containers, name, namespace, place, rows, table, text
from flyball.cluster.objects import PlainObject, dig
from flyball.cluster.pod_state import GPU
from flyball.lint.promql import Selector, parse_promql, selectors

COMPONENT = "app.kubernetes.io/component"
_DCGM_FIELD = re.compile(r"\bDCGM_(?:FI|EXP)_[A-Z0-9_]+\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineWorkload:
    """A Deployment of engines, and what scales it."""

    object: PlainObject
    scaler: PlainObject | None
    least: int
    most: int

    @property
    def name(self) -> str:
        return name(self.object)

    @property
    def pod(self) -> PlainObject:
        """The spec of its pods."""
        return table(self.object, "spec", "template", "spec")

    @property
    def selector(self) -> PlainObject:
        return table(self.object, "spec", "selector")

    @property
    def engine(self) -> PlainObject:
        """The container with the GPUs; the first one where none has any."""
        mine = rows(self.pod, "containers")
        return next((each for each in mine if devices_of(each)), mine[0] if mine else {})

    @property
    def gpus(self) -> int:
        """Devices a replica."""
        return sum(devices_of(each) for each in rows(self.pod, "containers"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingQuery:
    """The PromQL that decides the number of replicas, as it will be sent."""

    query: str
    source: str
    """The object that holds it: `ScaledObject llm/chat-engine`."""
    per_pod: bool
    """One value a pod (the Prometheus Adapter); otherwise one value in all (KEDA)."""

    @property
    def selectors(self) -> Sequence[Selector]:
        """Of named series only; empty if the query cannot be parsed."""
        expression = parse_promql(self.query)
        found = () if expression is None else selectors(expression)
        return tuple(dict.fromkeys(each for each in found if each.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedService:
    """One service as rendered."""

    name: str
    """The label `app.kubernetes.io/part-of` of everything that belongs to it."""
    namespace: str
    objects: Sequence[PlainObject]
    engines: Sequence[EngineWorkload]
    queries: Sequence[ScalingQuery]
    prometheus: str
    """Its address as the scaler or the adapter has it; empty if neither names one."""

    def of(self, kind: str) -> Sequence[PlainObject]:
        return tuple(each for each in self.objects if each.get("kind") == kind)

    @property
    def dcgm_fields(self) -> Sequence[str]:
        """Every field of the DCGM exporter that the rules and dashboards name."""
        texts = (each for kind in ("PrometheusRule", "ConfigMap") for item in self.of(kind) for each in _texts(item))
        return sorted({field for each in texts for field in _DCGM_FIELD.findall(each)})

    @property
    def uses_keda(self) -> bool:
        return bool(self.of("ScaledObject"))

    @property
    def uses_adapter(self) -> bool:
        return any(query.per_pod for query in self.queries)


def expected_service(
    objects: Sequence[PlainObject], *, name: str, namespace: str, adapter_values: PlainObject | None = None
) -> ExpectedService:
    """What `objects`, plain and as rendered for the service `name`, ask for.

    `adapter_values` are the Helm values of the Prometheus Adapter, where it feeds the HPA.
    """
    scalers = [each for each in objects if each.get("kind") in ("ScaledObject", "HorizontalPodAutoscaler")]
    triggers = [(each, metadata) for each in scalers for metadata in _prometheus_triggers(each)]
    engines = tuple(_engine(each, scalers) for each in objects if _is_engine(each))
    queries = [
        ScalingQuery(query=text(trigger, "query"), source=place(each), per_pod=False) for each, trigger in triggers
    ]
    pods = "|".join(f"{re.escape(each.name)}-.+" for each in engines)
    rules = [(place(each), _adapter_rules(each)) for each in objects if each.get("kind") == "ConfigMap"]
    rules.append(("the Prometheus Adapter's values", rows(adapter_values, "rules", "custom")))
    for source, found in rules:
        queries += _adapter_queries(source, found, namespace=namespace, pods=pods)
    addresses = [text(trigger, "serverAddress") for _, trigger in triggers]
    addresses.append(_adapter_address(table(adapter_values, "prometheus")))
    return ExpectedService(
        name=name,
        namespace=namespace,
        objects=objects,
        engines=engines,
        queries=queries,
        prometheus=next(filter(None, addresses), ""),
    )


def devices_of(container: PlainObject) -> int:
    limits = table(container, "resources", "limits")
    return sum(int(amount(value)) for key, value in limits.items() if key == GPU or key.startswith("nvidia.com/mig-"))


def gpu_resource(pod: PlainObject) -> str:
    """The extended resource that a pod asks for: `nvidia.com/gpu`, or a MIG profile."""
    names = [key for each in containers(pod) for key in table(each, "resources", "limits") if key.startswith("nvidia")]
    return names[0] if names else GPU


def targets(scaler: PlainObject, workload: PlainObject) -> bool:
    """Whether a ScaledObject or an HPA scales that Deployment."""
    reference = table(scaler, "spec", "scaleTargetRef")
    same = namespace(scaler) in ("", namespace(workload)) or not namespace(workload)
    return reference.get("kind", "Deployment") == "Deployment" and reference.get("name") == name(workload) and same


def _is_engine(each: PlainObject) -> bool:
    if each.get("kind") != "Deployment":
        return False
    component = text(each, "spec", "template", "metadata", "labels", COMPONENT)
    return component == "engine" or (
        not component and any(map(devices_of, rows(each, "spec", "template", "spec", "containers")))
    )


def _engine(workload: PlainObject, scalers: Sequence[PlainObject]) -> EngineWorkload:
    scaler = next((each for each in scalers if targets(each, workload)), None)
    fixed = int(dig(workload, "spec", "replicas", default=1))
    bounds = table(scaler, "spec")
    least = bounds.get("minReplicaCount", bounds.get("minReplicas", fixed if scaler is None else 1))
    most = bounds.get("maxReplicaCount", bounds.get("maxReplicas", fixed))
    return EngineWorkload(object=workload, scaler=scaler, least=int(least), most=int(most))


def _prometheus_triggers(scaler: PlainObject) -> Iterator[PlainObject]:
    for trigger in rows(scaler, "spec", "triggers"):
        if trigger.get("type") == "prometheus":
            yield table(trigger, "metadata")


def _adapter_queries(source: str, rules: Sequence[PlainObject], *, namespace: str, pods: str) -> Iterator[ScalingQuery]:
    """Rules of the Prometheus Adapter with their templates filled in, as the adapter does for the service's pods."""
    for rule in rules:
        series = parse_promql(text(rule, "seriesQuery"))
        filled = {
            "<<.Series>>": series.name if isinstance(series, Selector) else "",
            "<<.LabelMatchers>>": f'namespace="{namespace}",pod=~"{pods}"',
            "<<.GroupBy>>": "pod",
        }
        query = text(rule, "metricsQuery")
        for template, meaning in filled.items():
            query = query.replace(template, meaning)
        yield ScalingQuery(query=query, source=source, per_pod=True)


def _adapter_address(values: PlainObject) -> str:
    """Of the chart's `prometheus` values: url, port and path."""
    port = f":{text(values, 'port')}" if values.get("port") else ""
    return f"{text(values, 'url')}{port}{text(values, 'path')}"


def _adapter_rules(each: PlainObject) -> Sequence[PlainObject]:
    """The rules in a ConfigMap of the adapter."""
    texts = [value for value in table(each, "data").values() if "metricsQuery" in value]
    return [rule for value in texts for rule in rows(yaml.safe_load(value), "rules")]


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            if not str(key).endswith(".csv"):  # what the exporter is told to export, not what is read
                yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
