"""What the cluster's settings allow: the runtime class, quotas, limit ranges."""

from collections.abc import Iterator, Mapping
from fractions import Fraction

from flyball.cluster.doctor.expected import EngineWorkload, ExpectedService
from flyball.cluster.doctor.facts import ClusterFacts
from flyball.cluster.doctor.nodes import gpu_nodes
from flyball.cluster.doctor.reading import amount, containers, name, named, place, rows, table, text
from flyball.cluster.doctor.resource import LIMIT_RANGES, PODS, QUOTAS, RUNTIME_CLASSES
from flyball.cluster.doctor.scheduling import requests_of
from flyball.cluster.doctor.service_pods import pods_of
from flyball.cluster.doctor.symptom import Checked, Symptom, broken, risky
from flyball.cluster.objects import PlainObject

_NEED_A_CLASS = ("+k3s", "+rke2")
"""In the kubelet's version: distributions whose default runtime hands no GPU to a container (Talos: in osImage)."""


def check_runtime_class(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """The engine's runtime class exists; and where the distribution needs one, it is named."""
    symptoms: list[Symptom] = []
    answers = []
    for engine in expected.engines:
        wanted = text(engine.pod, "runtimeClassName")
        answers.append(wanted or "none asked for")
        if wanted and named(facts.of(RUNTIME_CLASSES), wanted) is None:
            names = ", ".join(map(name, facts.of(RUNTIME_CLASSES))) or "none"
            fix = (
                "leave it out: most clusters hand GPUs to containers without one"
                if names == "none"
                else "name one of them"
            )
            answered = f"not there; there are: {names}"
            symptoms.append(broken(place(engine.object), asked=f"RuntimeClass {wanted}", answered=answered, fix=fix))
        elif not wanted and named(facts.of(RUNTIME_CLASSES), "nvidia") is not None:
            symptoms += _missing_class(facts, engine)
    return Checked(answer=", ".join(answers) or "no engine", symptoms=symptoms)


def _missing_class(facts: ClusterFacts, engine: EngineWorkload) -> Iterator[Symptom]:
    for node in gpu_nodes(facts):
        info = table(node, "status", "nodeInfo")
        needs = next((mark for mark in _NEED_A_CLASS if mark in text(info, "kubeletVersion")), "")
        needs = needs.lstrip("+") or ("Talos" if "Talos" in text(info, "osImage") else "")
        if needs:
            answered = f"none, and {name(node)} runs {needs}: the container would see no GPU"
            fix = "runtimeClassName: nvidia, which this cluster has"
            yield broken(place(engine.object), asked="runtimeClassName", answered=answered, fix=fix)
            return


def check_quota(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """ResourceQuotas for the replicas still to come up to `max`, and LimitRanges for each container."""
    symptoms = [symptom for quota in facts.of(QUOTAS) for symptom in _quota_symptoms(facts, expected, quota)]
    for each in facts.of(LIMIT_RANGES):
        symptoms += [symptom for engine in expected.engines for symptom in _range_symptoms(each, engine)]
    names = [place(each) for each in (*facts.of(QUOTAS), *facts.of(LIMIT_RANGES))]
    return Checked(answer=", ".join(names) or "no quota and no limit range", symptoms=symptoms)


def _quota_symptoms(facts: ClusterFacts, expected: ExpectedService, quota: PlainObject) -> Iterator[Symptom]:
    used = table(quota, "status", "used")
    for key, value in table(quota, "spec", "hard").items():
        left = amount(value) - amount(used.get(key, 0))
        to_least = to_most = Fraction(0)
        for engine in expected.engines:
            there = len(pods_of(engine, facts.of(PODS)))
            each = _per_replica(key, engine)
            to_least += each * max(0, engine.least - there)
            to_most += each * max(0, engine.most - there)
        if to_most <= left:
            continue
        symptom, bound = (broken, to_least) if to_least > left else (risky, to_most)
        how_many = "minimum" if symptom is broken else "maximum"
        asked = f"{key} for the {how_many} of replicas: {_number(bound)} more"
        answered = f"{_number(left)} left of {value}"
        fix = f"raise {key} in the quota, or lower the {how_many}; a pod beyond it is never created"
        yield symptom(place(quota), asked=asked, answered=answered, fix=fix)


def _per_replica(key: str, engine: EngineWorkload) -> Fraction:
    """What one replica takes of a quota's entry; 0 for what this does not know."""
    if key in ("pods", "count/pods"):
        return Fraction(1)
    if key.startswith("limits."):
        return sum(
            (amount(table(c, "resources", "limits").get(key[7:], 0)) for c in containers(engine.pod)), Fraction(0)
        )
    asked: Mapping[str, Fraction] = requests_of(engine.pod)
    return asked.get(key.removeprefix("requests."), Fraction(0))


def _number(value: Fraction) -> str:
    return f"{float(value):,.10g}"


def _range_symptoms(limit_range: PlainObject, engine: EngineWorkload) -> Iterator[Symptom]:
    for row in rows(limit_range, "spec", "limits"):
        if row.get("type") != "Container":
            continue
        for container in containers(engine.pod):
            resources = table(container, "resources")
            for key, value in table(row, "max").items():
                asked = max(amount(table(resources, part).get(key, 0)) for part in ("limits", "requests"))
                if asked > amount(value):
                    asks = f"{key} of container {text(container, 'name')}: {_number(asked)}"
                    fix = "raise the range's max, or ask for less: the API server refuses the pod"
                    yield broken(place(limit_range), asked=asks, answered=f"at most {value}", fix=fix)
            for key, value in table(row, "min").items():
                wanted = table(resources, "requests").get(key)
                if wanted is not None and amount(wanted) < amount(value):
                    asks = f"{key} of container {text(container, 'name')}: {wanted}"
                    fix = "lower the range's min, or ask for more: the API server refuses the pod"
                    yield broken(place(limit_range), asked=asks, answered=f"at least {value}", fix=fix)
