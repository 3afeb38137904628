"""Takes an installation out of a cluster: the scaler first, the weights only if asked, the namespace if it is ours."""

from collections.abc import Iterator
from dataclasses import dataclass

from flyball.cluster.api_server import ApiServer
from flyball.cluster.installed import PART_OF, Installation, installed_objects, is_only_ours
from flyball.cluster.objects import ObjectKey, dig, key_of
from flyball.cluster.ordering import keys_in_reverse
from flyball.cluster.refusals import ForbiddenError, RefusedError
from flyball.cluster.waiting import Patience, Tell, wait_until_gone
from flyball.errors import OutsideError

# In every namespace, made by the cluster itself.
_BUILT_IN = frozenset({("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")})
_TOKENS = frozenset({"kubernetes.io/service-account-token", "kubernetes.io/dockercfg"})
"""Secrets that older clusters, and OpenShift, make for the account."""
_BY_THE_WAY = frozenset({"Event", "Endpoints", "EndpointSlice", "Lease", "PodMetrics"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """What goes, in order, and what stays, with the reason."""

    going: tuple[tuple[ObjectKey, str], ...]
    """Each with its uid: what was created anew under the name in the meantime is not ours to delete."""
    kept: tuple[tuple[ObjectKey, str], ...]
    namespace: ObjectKey | None = None
    """The namespace, if it is to go when nothing is left in it, or whatever is left in it."""
    takes_all: bool = False
    unseen: tuple[str, ...] = ()
    """Resources of which it is unknown what is there: the permission to list them is missing."""


def plan_deletion(api: ApiServer, installation: Installation, *, weights: bool, namespace: bool) -> Deletion:
    """What deleting the installation means now; nothing is changed. Raises OutsideError."""
    installed = installed_objects(api, installation)
    uids = {key_of(body): str(dig(body, "metadata", "uid", default="")) for body in installed.objects}
    home_key = ObjectKey(api_version="v1", kind="Namespace", name=installation.namespace)
    try:
        home = api.get(home_key)
    except ForbiddenError:
        if namespace:
            raise
        home = None  # somebody else made it, who may see it
    uids.pop(home_key, None)
    claims = [] if weights or namespace else [key for key in uids if key.kind == "PersistentVolumeClaim"]
    going = tuple((key, uids[key]) for key in keys_in_reverse(uids) if key not in claims)
    kept = [(key, "what is in it took long to make; --weights deletes it too") for key in claims]
    is_ours = home is not None and is_only_ours(home)
    goes = home is not None and (namespace or (is_ours and not claims))
    if home is not None and going and not goes:
        kept.append((home_key, "the claims are in it" if is_ours else "flyball did not create it; see --namespace"))
    return Deletion(
        going=going,
        kept=tuple(kept),
        namespace=home_key if goes else None,
        takes_all=namespace,
        unseen=installed.unseen,
    )


def carry_out_deletion(
    api: ApiServer, installation: Installation, deletion: Deletion, *, patience: Patience | None, tell: Tell
) -> tuple[str, ...]:
    """Delete, in order, and wait until the pods have ended their requests; what is still there, in words.

    Raises OutsideError, with how far it got, if the API server goes away.
    """
    done: list[ObjectKey] = []
    try:
        for key, uid in deletion.going:
            if api.delete(key, uid=uid):
                tell(f"{key} deleted")
            done.append(key)
        left = [] if patience is None else _wait_for_pods(api, installation, deletion, patience, tell)
        if deletion.namespace is not None and not left:
            left += _delete_namespace(api, deletion, patience, tell)
    except OutsideError as error:
        names = ", ".join(map(str, done)) or "none"
        what = f"{error.what}; {len(done)} of {len(deletion.going)} objects are deleted: {names}"
        raise OutsideError(what, fix="run it again to go on") from error
    return tuple(left)


def leftovers(api: ApiServer, namespace: str) -> Iterator[ObjectKey]:
    """What is in a namespace besides what the cluster itself puts into every one. Raises RefusedError."""
    for kind in api.discovery.everything():
        if not kind.is_namespaced or "list" not in kind.verbs or kind.kind in _BY_THE_WAY:
            continue
        for body in api.list(kind.api_version, kind.kind, namespace=namespace):
            key = key_of(body)
            # What has an owner goes with it: the owner is found itself, or has gone and the rest will follow.
            if (key.kind, key.name) in _BUILT_IN or body.get("type") in _TOKENS:
                continue
            if not dig(body, "metadata", "ownerReferences"):
                yield key


def _wait_for_pods(
    api: ApiServer, installation: Installation, deletion: Deletion, patience: Patience, tell: Tell
) -> list[str]:
    pods = api.list("v1", "Pod", namespace=installation.namespace, labels=f"{PART_OF}={installation.name}")
    keys = [key for key, _ in deletion.going if key.kind != "Pod"] + [key_of(pod) for pod in pods]
    return [f"{key} is still there" for key in wait_until_gone(api, keys, patience=patience, tell=tell)]


def _delete_namespace(api: ApiServer, deletion: Deletion, patience: Patience | None, tell: Tell) -> list[str]:
    key = deletion.namespace
    assert key is not None
    if not deletion.takes_all:
        try:
            others = list(leftovers(api, key.name))
        except RefusedError as error:
            tell(f"{key} is kept: it cannot be seen whether it is empty: {error.what}")
            return []
        if others:
            tell(f"{key} is kept: {', '.join(map(str, others[:3]))}{' and more' if len(others) > 3 else ''} in it")
            return []
    api.delete(key)
    tell(f"{key} deleted")
    left = () if patience is None else wait_until_gone(api, [key], patience=patience, tell=tell)
    return [f"{each} is still there" for each in left]
