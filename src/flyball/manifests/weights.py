"""The model's files: fetched once into a volume claim, or on the node, or in an OCI image; and the compile cache."""

import hashlib
import json
import math
from typing import Any

from flyball.errors import UsageError
from flyball.manifests.command_line import model_folder
from flyball.manifests.design import ServiceDesign
from flyball.manifests.manifest import Because, Manifest, unwrapped
from flyball.manifests.security import LOCKED_DOWN, pod_security
from flyball.units import GIB

COMPLETE = ".complete"
"""Written last into a revision's folder: a half-fetched one is never served."""
CACHE_GIB = 10
HOST_CACHE = "/var/cache/vllm"
ROOM = 3
"""Revisions that fit: the old and the new one of a rollout, and one to go back to."""


def weights_volume(design: ServiceDesign) -> dict[str, Any]:
    """The volume's source, without its name."""
    weights = design.kubernetes.weights
    if weights.host_path is not None:
        return {"hostPath": {"path": weights.host_path, "type": "Directory"}}
    if weights.image is not None:
        return {"image": {"reference": weights.image, "pullPolicy": "IfNotPresent"}}
    return {"persistentVolumeClaim": {"claimName": weights_claim_name(design), "readOnly": True}}


def cache_volume(design: ServiceDesign) -> dict[str, Any]:
    match compile_cache(design):
        case "claim":
            return {"persistentVolumeClaim": {"claimName": cache_claim_name(design)}}
        case "host_path":
            folder = {"path": f"{HOST_CACHE}/{design.name}", "type": "Directory"}
            made = f"made on each node by `install -d -m 2775 -g 0 {folder['path']}`: the kubelet's would be root's"
            return {"hostPath": Because(folder, made)}
        case _:
            return {"emptyDir": {"sizeLimit": f"{CACHE_GIB}Gi"}}


def compile_cache(design: ServiceDesign) -> str:
    """claim, host_path or none."""
    return design.kubernetes.compile_cache or ("claim" if design.kubernetes.weights.in_claim else "none")


def uses_host_path(design: ServiceDesign) -> bool:
    return design.kubernetes.weights.host_path is not None or compile_cache(design) == "host_path"


def weights_claim_name(design: ServiceDesign) -> str:
    return f"{design.name}-weights"


def cache_claim_name(design: ServiceDesign) -> str:
    return f"{design.name}-compile-cache"


def weights_objects(design: ServiceDesign) -> list[Manifest]:
    """Claims and the Job that fetches. UsageError where one node's claim would have to serve several replicas."""
    weights = design.kubernetes.weights
    if weights.in_claim and weights.access_mode == "ReadWriteOnce" and int(design.max_replicas.value) > 1:
        raise UsageError(
            f"kubernetes.weights.access_mode: ReadWriteOnce attaches to one node, and there are up to"
            f" {design.max_replicas.value} replicas",
            fix="a class with ReadWriteMany (EFS, Filestore, Azure Files, NFS), weights.host_path or weights.image",
        )
    if weights.in_claim and design.spec.model.id.startswith("/"):
        raise UsageError(
            "model.id is a folder of this machine, which no Job in a cluster can fetch",
            fix="name the model on the hub, or say where its files are: kubernetes.weights.host_path or .image",
        )
    found = []
    if compile_cache(design) == "claim":
        reason = (
            "What torch.compile produced, 20 s to minutes of every start. It is code that is executed:"
            " only this service's replicas write here."
        )
        found.append(_claim(design, cache_claim_name(design), CACHE_GIB, reason))
    if weights.in_claim:
        size = ROOM * math.ceil(1.1 * design.weights_bytes / GIB)
        reason = (
            f"{ROOM} revisions of {design.weights_bytes / GIB:.0f} GiB: old and new of a rollout, one to go back to."
        )
        found += [_claim(design, weights_claim_name(design), size, reason), _fetch(design)]
    return found


def _claim(design: ServiceDesign, name: str, gib: int, comment: str) -> Manifest:
    weights = design.kubernetes.weights
    storage_class = {"storageClassName": weights.storage_class} if weights.storage_class else {}
    spec = {
        "accessModes": [Because(weights.access_mode, "replicas on several nodes read it")],
        **storage_class,
        "resources": {"requests": {"storage": f"{gib}Gi"}},
    }
    return Manifest(
        body={
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": design.metadata(name, "weights"),
            "spec": spec,
        },
        file="weights.yaml",
        comment=f"{comment}\nThe class must let group 0 write.",
    )


def job_name(design: ServiceDesign) -> str:
    """A Job cannot be changed, so each content has its own; one that finds its weights there ends at once."""
    content = json.dumps(unwrapped(_fetch_spec(design)), sort_keys=True)
    return f"{design.name}-weights-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def _fetch(design: ServiceDesign) -> Manifest:
    return Manifest(
        body={
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": design.metadata(job_name(design), "weights"),
            "spec": _fetch_spec(design),
        },
        file="weights.yaml",
        comment="Fetches the weights once: otherwise every replica would at every start, and the hub throttles them.",
    )


def _fetch_spec(design: ServiceDesign) -> dict[str, Any]:
    model, weights = design.spec.model, design.kubernetes.weights
    folder = f"/models/{model_folder(design)}"
    script = (
        f"[ -e {folder}/{COMPLETE} ] || {{ hf download {model.id} --revision {model.revision or 'main'}"
        f" --local-dir {folder} && touch {folder}/{COMPLETE}; }}"
    )
    token = {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": weights.token_secret, "key": "token"}}}
    container = {
        "name": "fetch",
        "image": Because(design.image, "the engine's image, because it is pinned already and has the hub's client"),
        "command": ["sh", "-ec", Because(script, "the marker comes last: replicas wait for it")],
        "env": [{"name": "HOME", "value": "/tmp"}, *([token] if weights.token_secret else [])],
        "resources": {
            "requests": {
                "cpu": "1",
                "memory": "2Gi",
                "ephemeral-storage": Because("40Gi", "a node with room for the image, 25 GB unpacked"),
            },
            "limits": {"memory": "4Gi"},
        },
        "securityContext": LOCKED_DOWN,
        "volumeMounts": [{"name": "weights", "mountPath": "/models"}, {"name": "tmp", "mountPath": "/tmp"}],
    }
    pull = design.kubernetes.image_pull_secret
    pod = {
        "serviceAccountName": design.engine_name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "OnFailure",
        "securityContext": pod_security(),
        **({"imagePullSecrets": [{"name": pull}]} if pull else {}),
        "tolerations": [
            Because(
                {"key": design.kubernetes.taint_key, "operator": "Exists", "effect": "NoSchedule"},
                "GPU nodes have that room, and the image",
            )
        ],
        "containers": [container],
        "volumes": [
            {"name": "weights", "persistentVolumeClaim": {"claimName": weights_claim_name(design)}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
    return {
        "backoffLimit": Because(10, "the hub throttles; what has come is kept and resumed"),
        "ttlSecondsAfterFinished": Because(7 * 86400, "old ones go by themselves; the weights stay"),
        "template": {"metadata": {"labels": design.labels("weights")}, "spec": pod},
    }
