"""Does the scaling query return what the autoscaler can use, and does the metrics API serve it?"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from flyball.cluster.conditions import condition, says
from flyball.cluster.doctor.expected import ExpectedService, ScalingQuery
from flyball.cluster.doctor.facts import ClusterFacts, Sample
from flyball.cluster.doctor.reading import name, named, place, text
from flyball.cluster.doctor.resource import API_SERVICES
from flyball.cluster.doctor.service_pods import ready_engines
from flyball.cluster.doctor.symptom import Checked, Symptom, broken, risky
from flyball.cluster.objects import PlainObject

EXTERNAL, CUSTOM = "v1beta1.external.metrics.k8s.io", "v1beta1.custom.metrics.k8s.io"
RESOURCE_METRICS = "v1beta1.metrics.k8s.io"
_OWNERS = {EXTERNAL: ("KEDA", "keda"), CUSTOM: ("the Prometheus Adapter", "prometheus-adapter")}
"""What has to serve an APIService, and what its Service is called in the project's own chart."""


def check_query(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """One finite value for the service, or one for each Ready engine."""
    symptoms: list[Symptom] = []
    answers = []
    for query in expected.queries:
        found = facts.answer(query.query)
        if found.error:
            fix = "ask Prometheus by hand; `flyball lint` checks the query"
            symptoms.append(broken(query.source, asked=query.query, answered=found.error, fix=fix))
            continue
        judge = _per_pod if query.per_pod else _single
        symptoms += judge(facts, expected, query, found.samples)
        answers.append(", ".join(f"{sample.value:g}" for sample in found.samples) or "nothing")
    if not expected.queries:
        return Checked(answer="nothing scales by a query of Prometheus")
    return Checked(answer=f"it returns {'; '.join(answers)}", symptoms=symptoms)


def _single(
    facts: ClusterFacts, expected: ExpectedService, query: ScalingQuery, samples: Sequence[Sample]
) -> Iterator[Symptom]:
    asked = f"one value from {query.query}"
    if not samples:
        fix = "KEDA reads nothing as 0 unless ignoreNullValues is false, and scales down"
        yield broken(query.source, asked=asked, answered="no value", fix=fix)
    elif len(samples) > 1:
        answered = f"{len(samples)} values: KEDA ends with `returned multiple elements`"
        yield broken(query.source, asked=asked, answered=answered, fix="sum() over the whole expression")
    elif not math.isfinite(samples[0].value):
        fix = "a division by zero or a percentile without samples: guard it with `or vector(0)` or `> 0`"
        yield broken(query.source, asked=asked, answered=f"{samples[0].value}", fix=fix)


def _per_pod(
    facts: ClusterFacts, expected: ExpectedService, query: ScalingQuery, samples: Sequence[Sample]
) -> Iterator[Symptom]:
    asked = f"one value a pod from {query.query}"
    values = Counter(sample.labels.get("pod", "") for sample in samples)
    pods = [name(pod) for pod in ready_engines(facts, expected)]
    missing = [pod for pod in pods if pod not in values]
    if not samples:
        fix = "the HPA holds its number of replicas; look at the labels namespace and pod of the series"
        yield broken(query.source, asked=asked, answered="no value", fix=fix)
    elif max(values.values()) > 1 or "" in values:
        pod = values.most_common(1)[0][0] or "(no pod)"
        fix = "sum by (<<.GroupBy>>) over the whole expression"
        yield broken(query.source, asked=asked, answered=f"{values[pod] or len(samples)} values for {pod}", fix=fix)
    elif missing:
        fix = "wait for two scrapes after a start: until then the HPA counts the pod as exactly at the target"
        yield risky(query.source, asked=asked, answered=f"none for {', '.join(missing)}", fix=fix)
    if any(not math.isfinite(sample.value) for sample in samples):
        yield broken(
            query.source, asked=asked, answered="NaN, which the adapter turns into 0", fix="guard the division"
        )


def check_metrics_api(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """The APIService that the HPA asks: registered, served by the right project, available."""
    wanted = [
        *([EXTERNAL] if expected.uses_keda else []),
        *([CUSTOM] if expected.uses_adapter else []),
    ]
    symptoms = [symptom for each in wanted for symptom in _api_symptoms(facts, each)]
    symptoms += _resource_metrics(facts)
    services = (f"{each} by {_server(named(facts.of(API_SERVICES), each))}" for each in wanted)
    return Checked(answer=", ".join(services) or "none is needed", symptoms=symptoms)


def _server(service: PlainObject | None) -> str:
    reference = f"{text(service, 'spec', 'service', 'namespace')}/{text(service, 'spec', 'service', 'name')}"
    return reference.strip("/") or "nothing"


def _api_symptoms(facts: ClusterFacts, wanted: str) -> Iterator[Symptom]:
    service = named(facts.of(API_SERVICES), wanted)
    owner, mark = _OWNERS[wanted]
    if service is None:
        answered = "not registered: the HPA has nowhere to ask"
        yield broken(f"APIService {wanted}", asked="who serves it", answered=answered, fix=f"install {owner}")
        return
    if mark not in text(service, "spec", "service", "name"):
        fix = f"one owner can have it: move what uses {_server(service)} to {owner}, or serve this metric from there"
        yield broken(place(service), asked="who serves it", answered=f"{_server(service)}, not {owner}", fix=fix)
    available = condition(service, "Available")
    if available.get("status") != "True":
        answered = f"{available.get('status', 'no condition')}, {says(available)}".rstrip(", ")
        fix = f"look at the pods and the endpoints of {_server(service)}"
        yield broken(place(service), asked="condition Available", answered=answered, fix=fix)


def _resource_metrics(facts: ClusterFacts) -> Iterator[Symptom]:
    """Not a link of our own chain, but what breaks it for others when the adapter takes it."""
    service = named(facts.of(API_SERVICES), RESOURCE_METRICS)
    if service is None:
        return
    if "prometheus-adapter" in text(service, "spec", "service", "name"):
        fix = "leave it to metrics-server, unless you mean it: set the chart's rules.resource to nothing"
        yield risky(place(service), asked="who serves it", answered=f"{_server(service)}: the adapter took it", fix=fix)
    elif condition(service, "Available").get("status") != "True":
        answered = says(condition(service, "Available")) or "not True"
        fix = "HPAs on CPU and `kubectl top` fail in the whole cluster: repair metrics-server"
        yield risky(place(service), asked="condition Available", answered=answered, fix=fix)


def check_served_metric(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """The metrics API answers the very requests that the HPA makes."""
    if all(engine.scaler is None for engine in expected.engines):
        return Checked(answer="nothing is scaled")
    if not facts.metrics:
        return Checked(answer="no HPA asks it for anything yet", is_known=False)
    symptoms: list[Symptom] = []
    for each in facts.metrics:
        found = each.answer
        if found.error or not found.samples:
            fix = "the log of KEDA's operator, or of the adapter (it lists new series every --metrics-relist-interval)"
            symptoms.append(broken(each.autoscaler, asked=each.path, answered=found.error or "no value", fix=fix))
    values = (
        f"{each.metric} {', '.join(f'{sample.value:g}' for sample in each.answer.samples)}" for each in facts.metrics
    )
    return Checked(answer="; ".join(values), symptoms=symptoms)
