"""Who else writes the number of replicas?"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flyball.cluster.doctor.expected import EngineWorkload, ExpectedService, targets
from flyball.cluster.doctor.facts import ClusterFacts
from flyball.cluster.doctor.reading import name, named, place, table, text
from flyball.cluster.doctor.resource import AUTOSCALERS, DEPLOYMENTS, SCALED_OBJECTS
from flyball.cluster.doctor.symptom import Checked, Symptom, broken, risky
from flyball.cluster.objects import PlainObject, labels_of
from flyball.cluster.ownership import Field, owners_of
from flyball.cluster.replicas import HANDOVER
from flyball.cluster.scalers import owner_of

_AUTOSCALING = ("kube-controller-manager", "horizontal-pod-autoscaler", "keda", "keda-operator")
"""Field managers of the HPA controller (whose requests come from its binary) and of KEDA, which scales from 0 to 1."""
_BY_HAND = ("kubectl", "kubectl-edit", "kubectl-patch", "kubectl-scale")
_GITOPS = {
    "argocd.argoproj.io/tracking-id": "Argo CD",
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
    "fleet.cattle.io/bundle-id": "Fleet",
}
"""Labels or annotations by which GitOps controllers mark what they apply."""


def check_writers(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """One writer of `.spec.replicas` for each workload that something scales."""
    symptoms: list[Symptom] = []
    answers = []
    for engine in expected.engines:
        live = named(facts.of(DEPLOYMENTS), engine.name)
        scalers = _scalers_of(engine, facts)
        symptoms += _several_scalers(engine, scalers)
        others = list(_other_writers(live)) if live is not None and (engine.scaler is not None or scalers) else []
        symptoms += [symptom for entry in others for symptom in _writer_symptom(live or {}, entry)]
        fixed = "nothing yet" if engine.scaler is not None else f"nothing: it stays at {engine.most}"
        answers.append(f"{engine.name} is scaled by {place(scalers[0]) if scalers else fixed}")
    return Checked(answer="; ".join(answers) or "no engine", symptoms=symptoms)


def _scalers_of(engine: EngineWorkload, facts: ClusterFacts) -> Sequence[PlainObject]:
    """ScaledObjects, and the HPAs that none of them made."""
    scaled = [each for each in facts.of(SCALED_OBJECTS) if targets(each, engine.object)]
    autoscalers = [each for each in facts.of(AUTOSCALERS) if targets(each, engine.object)]
    return [*scaled, *(each for each in autoscalers if owner_of(each) is None)]


def _several_scalers(engine: EngineWorkload, scalers: Sequence[PlainObject]) -> Iterator[Symptom]:
    if len(scalers) > 1:
        names = ", ".join(map(place, scalers))
        fix = "delete all but one: they undo each other's decisions"
        yield broken(place(engine.object), asked="one autoscaler", answered=names, fix=fix)


def _other_writers(live: PlainObject) -> Iterator[Mapping[str, Any]]:
    for entry in owners_of(live, Field(("spec", "replicas"))):
        is_autoscaling = text(entry, "subresource") == "scale" and text(entry, "manager") in _AUTOSCALING
        if not is_autoscaling and text(entry, "manager") != HANDOVER:
            yield entry


def _writer_symptom(live: PlainObject, entry: Mapping[str, Any]) -> Iterator[Symptom]:
    manager, subresource = text(entry, "manager"), text(entry, "subresource")
    when = text(entry, "time") or "an unknown time"
    how = f"{text(entry, 'operation') or 'Update'}{f' of /{subresource}' if subresource else ''}"
    answered = f"also {manager}, {how}, {when}"
    asked = "who writes .spec.replicas"
    if manager in _BY_HAND or subresource == "scale":
        fix = f"scale by the minimum and maximum of the spec; {name(live)} follows the autoscaler again by itself"
        yield risky(place(live), asked=asked, answered=answered, fix=fix)
        return
    gitops = next((tool for mark, tool in _GITOPS.items() if mark in _marks(live)), "")
    fix = f"take spec.replicas out of what {manager} applies: each apply resets the scale"
    if gitops:
        fix += f"; in {gitops}, ignore differences of /spec/replicas until then"
    yield broken(place(live), asked=asked, answered=f"{answered}{f' ({gitops})' if gitops else ''}", fix=fix)


def _marks(live: PlainObject) -> Mapping[str, Any]:
    return {**labels_of(live), **table(live, "metadata", "annotations")}
