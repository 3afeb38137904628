"""Asks the API server what an apply would do: every object as a dry run, nothing changed.

The result is a value: what would change, what is not served, what was refused. `apply` goes on only if it is clean.
"""

import base64
import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flyball.cluster.api_server import ApiServer
from flyball.cluster.claims import keep_size
from flyball.cluster.custom_kinds import MissingKind, missing_kinds
from flyball.cluster.difference import ObjectChange, compared
from flyball.cluster.installed import Installation, Installed, installed_objects, obsolete_objects
from flyball.cluster.objects import ObjectKey, PlainObject, dig, key_of
from flyball.cluster.ordering import in_order, keys_in_reverse
from flyball.cluster.refusals import Conflict, FieldConflictError, ForbiddenError, RefusedError
from flyball.cluster.replicas import ReplicaAdvice, respect_autoscaler, scale_targets
from flyball.cluster.scalers import SCALERS, Rival, is_of, rivals, superseded
from flyball.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What would change, in the order in which it would be done. `advice` has the objects as they are to be sent."""

    changes: tuple[ObjectChange, ...]
    missing: tuple[MissingKind, ...] = ()
    obsolete: tuple[ObjectKey, ...] = ()
    """What earlier versions of the spec created and nobody asked to prune."""
    unseen: tuple[str, ...] = ()
    """Resources in which obsolete objects could not be looked for."""
    rivals: tuple[Rival, ...] = ()
    """Scalers of somebody else that the ones to come would fight with."""
    refused: tuple[RefusedError, ...] = ()
    advice: dict[ObjectKey, ReplicaAdvice] = field(default_factory=dict)

    @property
    def differs(self) -> bool:
        return bool(
            self.missing or self.rivals or self.refused or any(change.action != "unchanged" for change in self.changes)
        )

    @property
    def conflicted(self) -> tuple[ObjectChange, ...]:
        return tuple(change for change in self.changes if change.taken)


def compare(
    api: ApiServer,
    objects: Iterable[PlainObject],
    *,
    installation: Installation | None = None,
    prune: bool = False,
) -> Comparison:
    """The changes that applying `objects` would make, and with `prune` the deletions of what is obsolete.

    What is obsolete is only known of an installation. Raises OutsideError if the API server cannot be asked.
    """
    served, missing = sort_out(api, objects)
    wanted = {key_of(body) for body in served} | {key for each in missing for key in each.objects}
    installed = Installed(objects=()) if installation is None else installed_objects(api, installation)
    obsolete = obsolete_objects(installed, wanted)
    gone = (body for body in installed.objects if key_of(body) in obsolete)
    # With a new scaler that cannot come, the old one is better than none.
    old = () if any(each.kind in SCALERS for each in missing) else superseded(gone, served)
    going = tuple(each.key for each in old)
    freed = {each.target for each in old if not each.is_replaced}
    hpas = _live_hpas(api, served)
    rendered = [body for body in served if body["kind"] in SCALERS]
    targets = scale_targets([*rendered, *(hpa for hpa in hpas if not is_of(hpa, going))])
    absent = {key_of(body).name for body in served if body["kind"] == "Namespace" and not _may_be_there(api, body)}
    changes: list[ObjectChange] = []
    refused: list[RefusedError] = []
    advice: dict[ObjectKey, ReplicaAdvice] = {}
    for body in in_order(served):
        key = key_of(body)
        if key.namespace in absent:
            changes.append(ObjectChange(key=key, action="create", is_checked=False))
            advice[key] = ReplicaAdvice(body=body)
            continue
        live = None
        try:
            live = _lasting(api.get(key), key)
            sent, note = keep_size(body, live)
            advised = respect_autoscaler(sent, live, targets, freed)
            advice[key] = replace(advised, note=note or advised.note)
            changes.append(_change(api, advice[key], live, key))
        except RefusedError as error:
            forgiven = _forgiven(error, key, live, going)
            changes += [] if forgiven is None else [forgiven]
            refused += [error] if forgiven is None else []
    obsolete = tuple(key for key in obsolete if key not in going)
    changes += [ObjectChange(key=each.key, action="delete", notes=(each.note,)) for each in old]
    if prune:
        changes += [ObjectChange(key=key, action="delete") for key in keys_in_reverse(obsolete)]
    return Comparison(
        changes=tuple(changes),
        missing=missing,
        obsolete=() if prune else obsolete,
        unseen=installed.unseen,
        rivals=rivals(hpas, served, going),
        refused=tuple(refused),
        advice=advice,
    )


def sort_out(api: ApiServer, objects: Iterable[PlainObject]) -> tuple[list[PlainObject], tuple[MissingKind, ...]]:
    """The objects of kinds that are served, in the namespace they go to, and the kinds that are not."""
    served: list[PlainObject] = []
    unserved: list[tuple[ObjectKey, tuple[str, ...]]] = []
    seen: set[ObjectKey] = set()
    for body in objects:
        key = key_of(body)
        if not (key.api_version and key.kind and key.name):
            raise UsageError(f"an object without apiVersion, kind or name: {key}", fix="give it all three")
        kind = api.discovery.kind(key.api_version, key.kind)
        if kind is None:
            unserved.append((key, api.discovery.other_versions(key.api_version, key.kind)))
            continue
        placed = _placed(body, api.target.namespace if kind.is_namespaced else "")
        if key_of(placed) in seen:
            raise UsageError(f"{key} is there twice", fix="give one of them another name")
        seen.add(key_of(placed))
        served.append(placed)
    return served, missing_kinds(unserved)


def _placed(body: PlainObject, namespace: str) -> dict[str, Any]:
    """With the namespace that it goes to: its own, else the context's; without one where its kind has none."""
    placed: dict[str, Any] = copy.deepcopy(dict(body))
    if not namespace:
        placed["metadata"].pop("namespace", None)
    elif not placed["metadata"].get("namespace"):
        placed["metadata"]["namespace"] = namespace
    if placed["kind"] == "Secret" and placed.get("stringData"):
        placed["data"] = {**(placed.get("data") or {}), **_encoded(placed.pop("stringData"))}
    return placed


def _encoded(texts: Mapping[str, Any]) -> dict[str, str]:
    """As `data` has them.

    The API server turns `stringData` into it too, but we would own a field that is gone: a change would not be seen.
    """
    return {key: base64.b64encode(str(text).encode()).decode() for key, text in texts.items()}


def _lasting(live: PlainObject | None, key: ObjectKey) -> PlainObject | None:
    """The object, unless it is on its way out: what is applied to it would be accepted, and go with it."""
    if live is not None and dig(live, "metadata", "deletionTimestamp") is not None:
        fix = f"run this again when it is gone: kubectl get {key.kind.lower()} {key.name}"
        raise RefusedError(f"{key} is being deleted", fix=fix, status=409, reason="Conflict")
    return live


def _forgiven(
    error: RefusedError, key: ObjectKey, live: PlainObject | None, going: Sequence[ObjectKey]
) -> ObjectChange | None:
    """The change, where a refusal is no reason to stop."""
    if isinstance(error, ForbiddenError):
        if key.kind == "Namespace" and (live is not None or error.verb == "get"):
            note = f"left as it is: no permission to {error.verb} it"
            return ObjectChange(key=key, action="unchanged", notes=(note,))
    elif key.kind in SCALERS and live is None and going:  # KEDA's admission, as long as the old one is there
        note = f"can be tried only when {', '.join(map(str, going))} is gone"
        return ObjectChange(key=key, action="create", notes=(note,))
    return None


def _may_be_there(api: ApiServer, home: PlainObject) -> bool:
    """Whether a namespace exists; who may not see it works in one that somebody else made."""
    try:
        return api.get(key_of(home)) is not None
    except ForbiddenError:
        return True


def _live_hpas(api: ApiServer, served: Sequence[PlainObject]) -> list[PlainObject]:
    namespaces = {key_of(body).namespace for body in served if body["kind"] == "Deployment"}
    live = (api.list("autoscaling/v2", "HorizontalPodAutoscaler", namespace=namespace) for namespace in namespaces)
    return [hpa for found in live for hpa in found]


def _change(api: ApiServer, advice: ReplicaAdvice, live: PlainObject | None, key: ObjectKey) -> ObjectChange:
    notes = (advice.note,) if advice.note else ()
    try:
        result = api.apply(advice.body, dry_run=True)
        taken: tuple[Conflict, ...] = ()
    except FieldConflictError as error:
        taken = tuple(each for each in error.conflicts if not advice.takes(each))
        result = api.apply(advice.body, dry_run=True, force=True)
    except RefusedError as error:
        if key.kind == "Job" and live is not None and "immutable" in error.what:
            note = "a Job's template cannot change: it is deleted and created again"
            return ObjectChange(key=key, action="replace", notes=(*notes, note))
        raise
    if live is None:
        return ObjectChange(key=key, action="create", notes=notes)
    return compared(live, result, key=key, taken=taken, notes=notes)
