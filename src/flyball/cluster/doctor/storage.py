"""Can the weights' volumes be provided, and shared by as many replicas as there will be?"""

from collections.abc import Iterator

from flyball.cluster.conditions import says
from flyball.cluster.doctor.events import last_warning
from flyball.cluster.doctor.expected import ExpectedService
from flyball.cluster.doctor.facts import ClusterFacts
from flyball.cluster.doctor.reading import name, named, place, rows, table, text
from flyball.cluster.doctor.resource import CLAIMS, JOBS, STORAGE_CLASSES
from flyball.cluster.doctor.symptom import Checked, Symptom, broken, risky
from flyball.cluster.objects import PlainObject

_DEFAULT = "storageclass.kubernetes.io/is-default-class"
SINGLE_NODE_PROVISIONERS = {
    "ebs.csi.aws.com": "efs.csi.aws.com or fsx.csi.aws.com",
    "pd.csi.storage.gke.io": "filestore.csi.storage.gke.io",
    "disk.csi.azure.com": "file.csi.azure.com",
    "rancher.io/local-path": "a network file system",
    "kubernetes.io/no-provisioner": "a network file system",
}
"""Block and local storage, for one node at a time (each driver's table of access modes), and what to take instead."""


def check_storage(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """Each rendered claim: its class, its access mode against the replicas, and whether it is bound."""
    claims = expected.of("PersistentVolumeClaim")
    symptoms = [symptom for claim in claims for symptom in _claim_symptoms(facts, expected, claim)]
    symptoms += [symptom for job in expected.of("Job") for symptom in _job_symptoms(facts, job)]
    states = (f"{name(claim)} {_phase(facts, claim) or 'not created'}" for claim in claims)
    return Checked(answer=", ".join(states) or "no volume is claimed", symptoms=symptoms)


def _phase(facts: ClusterFacts, claim: PlainObject) -> str:
    return text(named(facts.of(CLAIMS), name(claim)), "status", "phase")


def _claim_symptoms(facts: ClusterFacts, expected: ExpectedService, claim: PlainObject) -> Iterator[Symptom]:
    live = named(facts.of(CLAIMS), name(claim))
    asked_class = text(claim, "spec", "storageClassName") or text(live, "spec", "storageClassName")
    found = _storage_class(facts, asked_class)
    bound = text(live, "status", "phase") == "Bound"
    if found is None and not bound:
        names = ", ".join(map(name, facts.of(STORAGE_CLASSES))) or "none"
        asked = f"StorageClass {asked_class}" if asked_class else "a default StorageClass"
        fix = "name one of them in the spec, or create it"
        yield broken(place(claim), asked=asked, answered=f"not there; there are: {names}", fix=fix)
        return
    yield from _access_mode(facts, expected, claim, live, found)
    if live is not None and not bound:
        yield from _unbound(facts, live, found)


def _storage_class(facts: ClusterFacts, wanted: str) -> PlainObject | None:
    classes = facts.of(STORAGE_CLASSES)
    if wanted:
        return named(classes, wanted)
    return next((each for each in classes if table(each, "metadata", "annotations").get(_DEFAULT) == "true"), None)


def _access_mode(
    facts: ClusterFacts,
    expected: ExpectedService,
    claim: PlainObject,
    live: PlainObject | None,
    storage_class: PlainObject | None,
) -> Iterator[Symptom]:
    modes = rows(live if live is not None else claim, "spec", "accessModes")
    users = [engine for engine in expected.engines if _mounts(engine.pod, name(claim))]
    most = sum(engine.most for engine in users)
    if most > 1 and not {"ReadWriteMany", "ReadOnlyMany"} & set(modes):
        fix = "ReadWriteMany on a network file system, or an image volume: the second node cannot mount it"
        asked = f"access mode for {most} replicas"
        yield broken(place(claim), asked=asked, answered=", ".join(modes) or "none", fix=fix)
        return
    provisioner = text(storage_class, "provisioner")
    if "ReadWriteMany" in modes and provisioner in SINGLE_NODE_PROVISIONERS and _phase(facts, claim) != "Bound":
        asked = f"ReadWriteMany from StorageClass {name(storage_class or {})}"
        answered = f"{provisioner} provides volumes for one node at a time"
        fix = f"a StorageClass of {SINGLE_NODE_PROVISIONERS[provisioner]}"
        yield broken(place(claim), asked=asked, answered=answered, fix=fix)


def _mounts(pod: PlainObject, claim: str) -> bool:
    return any(text(volume, "persistentVolumeClaim", "claimName") == claim for volume in rows(pod, "volumes"))


def _unbound(facts: ClusterFacts, live: PlainObject, storage_class: PlainObject | None) -> Iterator[Symptom]:
    waits = text(storage_class, "volumeBindingMode") == "WaitForFirstConsumer"
    phase = text(live, "status", "phase") or "no phase yet"
    event = last_warning(facts, "PersistentVolumeClaim", name(live))
    answered = f"{phase}: {event}" if event else phase
    failed = phase == "Lost" or "Failed" in event
    if waits and not failed:
        fix = "nothing, if no pod uses it yet: the class binds when the first one is scheduled"
        yield risky(place(live), asked="phase Bound", answered=answered, fix=fix)
    else:
        fix = "read the provisioner's message; its pods and its quota in the cloud decide"
        yield broken(place(live), asked="phase Bound", answered=answered, fix=fix)


def _job_symptoms(facts: ClusterFacts, job: PlainObject) -> Iterator[Symptom]:
    """The job that fetches the weights."""
    live = named(facts.of(JOBS), name(job))
    failed = [each for each in rows(live, "status", "conditions") if each.get("type") == "Failed"]
    if failed and failed[0].get("status") == "True":
        fix = f"kubectl logs job/{name(job)}, then delete the job and apply again"
        yield broken(place(live or job), asked="the weights fetched", answered=f"failed, {says(failed[0])}", fix=fix)
    elif live is not None and not int(text(live, "status", "succeeded") or 0):
        fix = f"wait for it: kubectl logs -f job/{name(job)}"
        yield risky(place(live), asked="the weights fetched", answered="still fetching", fix=fix)
