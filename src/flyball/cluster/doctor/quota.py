"""What the namespace's ResourceQuotas and LimitRanges allow."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from flyball.cluster.doctor.expected import EngineWorkload, ExpectedService
from flyball.cluster.doctor.facts import ClusterFacts
from flyball.cluster.doctor.reading import amount, containers, place, rows, table, text
from flyball.cluster.doctor.resource import LIMIT_RANGES, PODS, QUOTAS
from flyball.cluster.doctor.scheduling import requests_of
from flyball.cluster.doctor.service_pods import pods_of
from flyball.cluster.doctor.symptom import Checked, Symptom, broken, risky
from flyball.cluster.objects import PlainObject

_COMPUTE = ("cpu", "memory")
"""Of these alone, a quota makes every container state its request or limit (Kubernetes: Resource Quotas)."""
_REFUSED = "the API server refuses the pod"


def check_quota(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """ResourceQuotas for the replicas still to come up to `max`, and LimitRanges for each container."""
    quotas = [each for each in facts.of(QUOTAS) if not _is_scoped(each)]
    ranges = facts.of(LIMIT_RANGES)
    symptoms = [symptom for quota in quotas for symptom in _quota_symptoms(facts, expected, quota)]
    for quota in quotas:
        symptoms += _unstated(expected, quota, ranges)
    for each in ranges:
        symptoms += [symptom for engine in expected.engines for symptom in _range_symptoms(each, engine)]
    names = [place(each) for each in (*facts.of(QUOTAS), *ranges)]
    return Checked(answer=", ".join(names) or "no quota and no limit range", symptoms=symptoms)


def _is_scoped(quota: PlainObject) -> bool:
    """Whether it counts some pods only, by priority or lifetime: whether ours are among them is not judged."""
    return bool(rows(quota, "spec", "scopes") or table(quota, "spec", "scopeSelector"))


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
        if to_most == 0 or to_most <= left:
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


def _unstated(expected: ExpectedService, quota: PlainObject, ranges: Sequence[PlainObject]) -> Iterator[Symptom]:
    """Containers without a request or limit that the quota counts, and for which no LimitRange fills one in."""
    for key in table(quota, "spec", "hard"):
        part, _, resource = key.rpartition(".")
        part = part or "requests"
        if resource not in _COMPUTE or part not in ("requests", "limits"):
            continue
        default = {"requests": "defaultRequest", "limits": "default"}[part]
        if any(resource in table(row, default) for each in ranges for row in rows(each, "spec", "limits")):
            continue
        for workload in expected.of("Deployment"):
            for container in containers(table(workload, "spec", "template", "spec")):
                stated = table(container, "resources", part)
                if part == "requests":
                    stated = {**table(container, "resources", "limits"), **stated}
                if resource not in stated:
                    asked = f"{part}.{resource} of container {text(container, 'name')} of {place(workload)}"
                    fix = f"a LimitRange with a {default} of {resource}, or a quota without {key}"
                    answered = f"not stated, and the quota counts it: {_REFUSED}"
                    yield broken(place(quota), asked=asked, answered=answered, fix=fix)


def _range_symptoms(limit_range: PlainObject, engine: EngineWorkload) -> Iterator[Symptom]:
    for row in rows(limit_range, "spec", "limits"):
        for container in containers(engine.pod) if row.get("type") == "Container" else ():
            limits, requests = (table(container, "resources", part) for part in ("limits", "requests"))
            for what, stated, bound in _beyond(row, limits, requests):
                asked = f"{what} of container {text(container, 'name')}: {stated}"
                fix = "change the range, or what the container asks for"
                yield broken(place(limit_range), asked=asked, answered=f"{bound}: {_REFUSED}", fix=fix)


def _beyond(row: PlainObject, limits: Mapping[str, Any], requests: Mapping[str, Any]) -> Iterator[tuple[str, Any, str]]:
    """(what, as stated, the bound that it breaks)."""
    for key, most in table(row, "max").items():
        stated = max(limits.get(key, 0), requests.get(key, 0), key=amount)
        if amount(stated) > amount(most):
            yield key, stated, f"at most {most}"
    for key, least in table(row, "min").items():
        if key in requests and amount(requests[key]) < amount(least):
            yield f"request of {key}", requests[key], f"at least {least}"
    for key, default in table(row, "default").items():
        if key not in limits and amount(requests.get(key)) > amount(default):
            yield f"request of {key}", requests[key], f"the default limit is {default}, below the request"
