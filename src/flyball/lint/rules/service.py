"""Rules about reaching the engine: Services, monitors, proxies."""

import re
from collections.abc import Iterator

from flyball.lint.engine import Engine
from flyball.lint.node import Node
from flyball.lint.pods import same_namespace, selects
from flyball.lint.reading import KubernetesObject
from flyball.lint.rule import Hit, InContext, Rule, context_rule, serving_rule

SLOW_SCRAPE_S = 30.0
SHORT_PROXY_S = 300.0
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:\d+ms)?")
_MONITOR_DOC = "https://prometheus-operator.dev/docs/api-reference/api/"


@serving_rule(
    "error",
    finds="a Service whose target port is not vLLM's",
    why="every request through the Service is refused",
    reference="https://kubernetes.io/docs/concepts/services-networking/service/",
)
def service_port_mismatch(engine: Engine) -> Iterator[Hit]:
    if not engine.has_known_port:
        return
    open_ports = {engine.port, *(each.at("containerPort").number for each in _all_ports(engine))}
    names = {each.at("name").text for each in _all_ports(engine)}
    for service in engine.services:
        for port in service.spec.at("ports").items():
            target = port.at("targetPort")
            at = target if target.exists else port.at("port")
            known = at.number in open_ports if at.number is not None else at.text in names
            if at.exists and not known:
                says = f"Service {service.name} sends to port {at.text}; vLLM listens on {engine.port}"
                yield Hit(at=at, says=says, fix=f"targetPort: {engine.port}", within=service)


def _all_ports(engine: Engine) -> Iterator[Node]:
    for container in engine.pod.containers:
        yield from container.at("ports").items()


@serving_rule(
    "warning",
    finds="a Service with session affinity",
    why="all requests of a gateway or a NAT address go to one replica: the others idle, and new ones never get traffic",
    reference="https://kubernetes.io/docs/reference/networking/virtual-ips/#session-affinity",
)
def session_affinity(engine: Engine) -> Iterator[Hit]:
    for service in engine.services:
        affinity = service.spec.at("sessionAffinity")
        if affinity.text == "ClientIP":
            says = f"Service {service.name} pins each client address to one replica"
            yield Hit(at=affinity, says=says, fix="remove it; a gateway with prefix-aware balancing", within=service)


@serving_rule(
    "warning",
    finds="a Service that sends requests to pods that are not ready",
    why="a pod that is still loading refuses connections, and each such request fails",
    reference="https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/",
)
def publishes_not_ready(engine: Engine) -> Iterator[Hit]:
    for service in engine.services:
        flag = service.spec.at("publishNotReadyAddresses")
        if flag.is_true and engine.object.kind != "LeaderWorkerSet":
            yield Hit(at=flag, says=f"Service {service.name} publishes pods that load", fix="remove it", within=service)


@context_rule(
    "error",
    finds="a monitor that names a port which does not exist",
    why="Prometheus scrapes nothing and says nothing: the autoscaler has no metric, the dashboards are empty",
    reference=_MONITOR_DOC,
)
def monitor_port_missing(each: InContext) -> Iterator[Hit]:
    pod_ports = {port.at("name").text for port in _all_ports(each.engine)}
    for monitor in _monitors(each, "PodMonitor"):
        for endpoint in monitor.spec.at("podMetricsEndpoints").items():
            yield from _unknown_port(endpoint.at("port"), pod_ports, monitor, "container port")
    for monitor in _monitors(each, "ServiceMonitor"):
        watched = list(_services_of(each, monitor))
        service_ports = {port.at("name").text for service in watched for port in service.spec.at("ports").items()}
        for endpoint in monitor.spec.at("endpoints").items():
            yield from _unknown_port(endpoint.at("port"), service_ports, monitor, "Service port")


def _unknown_port(port: Node, names: set[str], monitor: KubernetesObject, what: str) -> Iterator[Hit]:
    if port.exists and port.text not in names:
        known = ", ".join(sorted(names - {""})) or "none has a name"
        says = f"{monitor.kind} {monitor.name} scrapes {what} {port.text}, which is not there ({known})"
        fix = f"name the {what} {port.text}" if known == "none has a name" else f"port: {known}"
        yield Hit(at=port, says=says, fix=fix, within=monitor)


def _monitors(each: InContext, kind: str) -> Iterator[KubernetesObject]:
    """Those that select the engine's pods, or a Service of theirs."""
    for monitor in each.manifests.of_kind(kind):
        if not _reaches(monitor, each.object):
            continue
        if kind == "PodMonitor" and selects(monitor.spec.at("selector"), each.engine.pod.labels):
            yield monitor
        if kind == "ServiceMonitor" and any(True for _ in _services_of(each, monitor)):
            yield monitor


def _reaches(monitor: KubernetesObject, each: KubernetesObject) -> bool:
    namespaces = monitor.spec.at("namespaceSelector")
    names = {name.text for name in namespaces.at("matchNames").items()}
    return namespaces.at("any").is_true or each.namespace in names or (not names and same_namespace(monitor, each))


def _services_of(each: InContext, monitor: KubernetesObject) -> Iterator[KubernetesObject]:
    for service in each.engine.services:
        labels = {key: value.text for key, value in service.root.at("metadata", "labels").entries()}
        if selects(monitor.spec.at("selector"), labels):
            yield service


@context_rule(
    "warning",
    finds="metrics that are scraped less often than every 30 s",
    why="the autoscaler decides every 15 s on numbers that old, and the gauges lag the load by some seconds already",
    reference="vllm-project/vllm#49538",
)
def slow_scrape(each: InContext) -> Iterator[Hit]:
    if not each.engine.scalers:
        return
    for kind, key in (("PodMonitor", "podMetricsEndpoints"), ("ServiceMonitor", "endpoints")):
        for monitor in _monitors(each, kind):
            for endpoint in monitor.spec.at(key).items():
                interval = endpoint.at("interval")
                if interval.exists and duration_s(interval.text) > SLOW_SCRAPE_S:
                    says = f"{monitor.kind} {monitor.name} scrapes every {interval.text}"
                    yield Hit(at=interval, says=says, fix="interval: 15s", within=monitor)


def duration_s(text: str) -> float:
    """Seconds of Prometheus' and Go's durations (`1m30s`); 0 for what is none."""
    match = _DURATION.fullmatch(text)
    hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    return float(hours * 3600 + minutes * 60 + seconds)


@context_rule(
    "info",
    finds="a scaled engine that nothing scrapes",
    why="the autoscaler's query needs the vllm: series with their pod and namespace labels",
    reference=_MONITOR_DOC,
)
def not_scraped(each: InContext) -> Iterator[Hit]:
    annotated = each.engine.pod.annotation("prometheus.io/scrape").is_true
    monitored = any(True for kind in ("PodMonitor", "ServiceMonitor") for _ in _monitors(each, kind))
    if each.engine.scalers and not annotated and not monitored:
        says = "no PodMonitor or ServiceMonitor among these documents selects these pods"
        fix = "a PodMonitor on the engine's port, path /metrics, interval 15s"
        yield Hit(at=each.engine.pod.root.at("metadata", "labels"), says=says, fix=fix, evidence="(missing)")


@context_rule(
    "warning",
    finds="an nginx Ingress that cuts or buffers streams",
    why="vLLM sends no byte while a request waits and prefills; nginx gives up after 60 s, and buffers streams",
    reference="vllm-project/vllm#47647; https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/",
)
def proxy_cuts_streams(each: InContext) -> Iterator[Hit]:
    names = {service.name for service in each.engine.services}
    prefix = "nginx.ingress.kubernetes.io/"
    for ingress in each.manifests.of_kind("Ingress"):
        has_nginx = "nginx" in ingress.spec.at("ingressClassName").text or any(
            key.startswith(prefix) for key, _ in ingress.root.at("metadata", "annotations").entries()
        )
        backends = str(ingress.spec.plain())
        if not has_nginx or not any(f"'name': '{name}'" in backends for name in names):
            continue
        timeout = ingress.annotation(f"{prefix}proxy-read-timeout")
        seconds = 60.0 if timeout.number is None else timeout.number
        if seconds < SHORT_PROXY_S:
            default = "" if timeout.exists else " (nginx' default)"
            says = f"proxy-read-timeout {seconds:g} s{default}: longer waits end in 504"
            yield Hit(at=timeout, says=says, fix='proxy-read-timeout: "3600", proxy-buffering: "off"', within=ingress)


RULES: tuple[Rule, ...] = (
    service_port_mismatch,
    session_affinity,
    publishes_not_ready,
    monitor_port_missing,
    slow_scrape,
    not_scraped,
    proxy_cuts_streams,
)
