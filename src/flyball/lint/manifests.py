"""Everything the documents hold, related: engines with their scalers and services, queries with their versions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flyball.catalog import DEFAULT_RELEASE
from flyball.lint.adapter import AdapterRule, adapter_rules
from flyball.lint.engine import Engine, Surroundings, engines_of
from flyball.lint.pods import PodTemplate, pod_templates, same_namespace
from flyball.lint.query import Query, is_about_serving, located_queries, query_from
from flyball.lint.reading import KubernetesObject
from flyball.lint.scaler import Scaler, scaler_of


@dataclass(frozen=True, slots=True, kw_only=True)
class LintSettings:
    """What the documents do not say."""

    vllm_version: str | None = None
    """Instead of what the image's tag says."""
    accelerator: str | None = None
    """The catalogue's name of the GPU that engines run on, where no node selector says it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scaling:
    """A scaler of a vLLM workload; the engine is None if the workload is not among the documents."""

    scaler: Scaler
    engine: Engine | None
    companions: tuple[Engine, ...] = ()
    """Engines behind a Service of this one's that the scaler does not scale: a floor of steady replicas."""

    @property
    def object(self) -> KubernetesObject:
        return self.scaler.object


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Manifests:
    """The documents' objects, and what they are to each other."""

    settings: LintSettings
    objects: tuple[KubernetesObject, ...]
    pods: tuple[PodTemplate, ...]
    engines: tuple[Engine, ...]
    scalings: tuple[Scaling, ...]
    """Only those of vLLM workloads."""
    adapter_rules: tuple[AdapterRule, ...]
    queries: tuple[Query, ...]
    """Only those about vLLM and its GPUs."""

    def of_kind(self, *kinds: str) -> Iterator[KubernetesObject]:
        return (each for each in self.objects if each.kind in kinds)

    def named(self, kind: str, name: str, near: KubernetesObject) -> KubernetesObject | None:
        """The object of that kind and name in the namespace of `near`."""
        found = (each for each in self.of_kind(kind) if each.name == name and same_namespace(each, near))
        return next(found, None)


def relate(objects: Sequence[KubernetesObject], settings: LintSettings) -> Manifests:
    rules = [rule for each in objects for rule in adapter_rules(each)]
    scalers = [scaler for each in objects if (scaler := scaler_of(each, rules)) is not None]
    around = Surroundings(objects=objects, scalers=scalers, vllm_version=settings.vllm_version)
    pods = [pod for each in objects for pod in pod_templates(each)]
    engines = [engine for pod in pods for engine in engines_of(pod, around)]
    scalings = [scaling for scaler in scalers if (scaling := _scaling(scaler, engines)) is not None]
    return Manifests(
        settings=settings,
        objects=tuple(objects),
        pods=tuple(pods),
        engines=tuple(engines),
        scalings=tuple(scalings),
        adapter_rules=tuple(rules),
        queries=tuple(_queries(objects, scalings, rules, engines, settings)),
    )


def _scaling(scaler: Scaler, engines: Sequence[Engine]) -> Scaling | None:
    engine = next((engine for engine in engines if scaler in engine.scalers), None)
    if engine is None and not any(_asks_for_vllm(scaler)):
        return None
    return Scaling(scaler=scaler, engine=engine, companions=tuple(_companions(scaler, engine, engines)))


def _companions(scaler: Scaler, engine: Engine | None, engines: Sequence[Engine]) -> Iterator[Engine]:
    services = () if engine is None else engine.services
    for other in engines:
        if scaler not in other.scalers and any(service in services for service in other.services):
            yield other


def _asks_for_vllm(scaler: Scaler) -> Iterator[bool]:
    for signal in scaler.signals:
        yield "vllm" in signal.metric or (signal.query is not None and "vllm" in signal.query.text)


def _queries(
    objects: Sequence[KubernetesObject],
    scalings: Sequence[Scaling],
    rules: Sequence[AdapterRule],
    engines: Sequence[Engine],
    settings: LintSettings,
) -> Iterator[Query]:
    for scaling in scalings:
        for signal in scaling.scaler.signals:
            if signal.query is not None and is_about_serving(signal.query.text):
                yield Query(
                    object=scaling.object,
                    node=signal.query,
                    origin="trigger",
                    text=signal.query.text,
                    expression=signal.expression,
                    versions=_versions(scaling.object, [scaling.engine] if scaling.engine else engines, settings),
                    scaler=scaling.scaler,
                    signal=signal,
                )
    for rule in rules:
        if is_about_serving(rule.series_query.text + rule.query):
            yield Query(
                object=rule.object,
                node=rule.metrics_query if rule.metrics_query.exists else rule.node,
                origin="adapter",
                text=rule.query,
                expression=rule.expression,
                versions=_versions(rule.object, engines, settings),
                rule=rule,
            )
    for each in objects:
        for located in located_queries(each):
            if is_about_serving(located.node.text):
                yield query_from(located, within=each, versions=_versions(each, engines, settings))


def _versions(near: KubernetesObject, engines: Sequence[Engine], settings: LintSettings) -> tuple[str, ...]:
    """Of the engines in the namespace, else of all engines; what the settings say if no engine says it."""
    versions = {engine.version for engine in engines if same_namespace(engine.object, near)}
    versions = versions or {engine.version for engine in engines}
    named = sorted(version for version in versions if version is not None)
    return tuple(named) or (settings.vllm_version or DEFAULT_RELEASE,)
