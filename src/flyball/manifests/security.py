"""What every pod of the service gives up, and who it is."""

import hashlib
from typing import Any

from flyball.manifests.design import ServiceDesign
from flyball.manifests.manifest import Because, Manifest

USER, GROUP = 2000, 0
"""The vLLM image's own user; its files belong to group 0 (vllm-project/vllm#40275)."""
LOCKED_DOWN = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
API_KEY = "key"


def pod_security(user: int = USER, group: int = GROUP) -> dict[str, Any]:
    """A pod's `securityContext`: what Pod Security's `restricted` asks for."""
    return {
        "runAsNonRoot": True,
        "runAsUser": Because(user, "the image's own user; its files belong to group 0") if user == USER else user,
        "runAsGroup": group,
        "fsGroup": group,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def api_key_secret_name(design: ServiceDesign) -> str:
    return f"{design.name}-api-key"


def namespace(design: ServiceDesign, *, host_path: bool) -> list[Manifest]:
    """The namespace, with the strictest Pod Security level that its pods pass; none for `default`, which is there."""
    if design.namespace == "default":
        return []
    level: Any = (
        Because("privileged", "the stricter levels refuse hostPath volumes; all else of `restricted` is kept")
        if host_path
        else "restricted"
    )
    labels = {"pod-security.kubernetes.io/enforce": level, "pod-security.kubernetes.io/warn": "restricted"}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": design.namespace, "labels": labels}}
    return [Manifest(body=body, file="namespace.yaml")]


def service_account(design: ServiceDesign, name: str, component: str) -> Manifest:
    """An identity with no right: nothing in the pods talks to the API server."""
    return Manifest(
        body={
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": design.metadata(name, component),
            "automountServiceAccountToken": False,
        },
        file=f"{component}.yaml",
    )


def api_key_mark(key: str | None) -> dict[str, Any]:
    """The annotation of pods that read the key from their environment."""
    if key is None:
        return {}
    mark = hashlib.sha256(key.encode()).hexdigest()[:8]
    return {"flyball/api-key": Because(mark, "a changed key replaces the pods: they read it when they start")}


def api_key_secret(design: ServiceDesign, key: str) -> Manifest:
    """The key that clients send, for the engine, which checks it once more."""
    return Manifest(
        body={
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": design.metadata(api_key_secret_name(design), "engine"),
            "type": "Opaque",
            "stringData": {API_KEY: key},
        },
        file="secrets.yaml",
        comment="The API key in clear text: keep it out of repositories.",
    )
