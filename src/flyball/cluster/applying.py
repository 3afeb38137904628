"""Carries out a comparison: applies in order, waits where others depend on it, and says how far it got.

Whatever stops it, running it again goes on from there: what is done is found to be unchanged.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from flyball.cluster.api_server import ApiServer
from flyball.cluster.comparing import Comparison, compare
from flyball.cluster.difference import ObjectChange
from flyball.cluster.installed import Installation
from flyball.cluster.objects import ObjectKey, PlainObject
from flyball.cluster.ordering import WAITED_FOR_FIRST, rank
from flyball.cluster.readiness import Progress
from flyball.cluster.replicas import HANDOVER
from flyball.cluster.scalers import SCALERS
from flyball.cluster.waiting import Patience, Tell, wait_until_gone, wait_until_ready
from flyball.errors import OutsideError

_SCALER_GOES_S = 60.0
"""For KEDA to take its finalizer from a ScaledObject and its HPA away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was done, and what is not ready."""

    done: tuple[ObjectChange, ...]
    unready: tuple[Progress, ...] = ()
    left: tuple[ObjectKey, ...] = ()
    """Not applied: what it needs did not become ready."""


def apply_in_new_namespaces(
    api: ApiServer,
    objects: Iterable[PlainObject],
    comparison: Comparison,
    *,
    installation: Installation | None,
    prune: bool,
    tell: Tell,
) -> Comparison:
    """Create the namespaces that are missing and compare again: only now can the API server try what goes into them.

    If it refuses something, the namespaces go again, and nothing has changed.
    """
    if all(change.is_checked for change in comparison.changes):
        return comparison
    created = [
        change.key for change in comparison.changes if change.key.kind == "Namespace" and change.action == "create"
    ]
    try:
        for key in created:
            api.apply(comparison.advice[key].body)
            tell(f"{key} created")
        checked = compare(api, objects, installation=installation, prune=prune)
    except BaseException:
        _take_back(api, created, tell)
        raise
    if checked.refused:
        _take_back(api, created, tell)
    return checked


def carry_out(api: ApiServer, comparison: Comparison, *, force: bool, patience: Patience | None, tell: Tell) -> Outcome:
    """Make the changes, in their order. Without `patience` nothing is waited for.

    Raises OutsideError, with how far it got, if the API server goes away or refuses what it accepted in the dry run.
    """
    done: list[ObjectChange] = []
    todo = [change for change in comparison.changes if change.action not in ("unchanged", "delete")]
    deletions = [change for change in comparison.changes if change.action == "delete"]
    early = [change for change in deletions if change.key.kind in SCALERS]
    jobs = [change.key for change in comparison.changes if change.key.kind in WAITED_FOR_FIRST]
    try:
        for number, change in enumerate(todo):
            is_after_jobs = rank(change.key.kind) > rank("Job")
            if jobs and patience is not None and is_after_jobs:
                unready = wait_until_ready(api, jobs, patience=patience, tell=tell)
                if unready:
                    return Outcome(
                        done=tuple(done), unready=unready, left=tuple(change.key for change in todo[number:])
                    )
                jobs = []
            if is_after_jobs:  # not before: the Job may take hours, and nothing would scale
                done += _without_old_scalers(api, early, done, tell)
            _apply(api, comparison, change, force=force, tell=tell)
            done.append(change)
        done += _without_old_scalers(api, early, done, tell)
        unready = _wait(api, comparison, patience, tell)
        for change in deletions if not unready else ():
            if change not in early:
                _prune(api, change, tell)
                done.append(change)
    except (OutsideError, KeyboardInterrupt) as error:
        total = len(todo) + len(deletions)
        names = ", ".join(str(change.key) for change in done) or "none"
        if isinstance(error, KeyboardInterrupt):
            tell(f"interrupted after {len(done)} of {total} changes ({names}): run it again to go on")
            raise
        what = f"{error.what}; {len(done)} of {total} changes are made: {names}"
        raise OutsideError(what, fix="run it again to go on: what is made stays as it is") from error
    return Outcome(done=tuple(done), unready=unready)


def _wait(api: ApiServer, comparison: Comparison, patience: Patience | None, tell: Tell) -> tuple[Progress, ...]:
    if patience is None:
        return ()
    keys = [change.key for change in comparison.changes if change.action != "delete"]
    return wait_until_ready(api, keys, patience=patience, tell=tell)


def _apply(api: ApiServer, comparison: Comparison, change: ObjectChange, *, force: bool, tell: Tell) -> None:
    advice = comparison.advice[change.key]
    if change.action == "replace":
        api.delete(change.key)
        wait_until_gone(api, [change.key], patience=Patience(60.0), tell=tell)
    if advice.handover is not None:
        api.apply(advice.handover, manager=HANDOVER)
    api.apply(advice.body, force=force or (advice.takes_count and not change.taken))
    verb = {"create": "created", "replace": "replaced", "adopt": "adopted"}.get(change.action, "changed")
    tell(f"{change.key} {verb}")


def _without_old_scalers(
    api: ApiServer, early: Sequence[ObjectChange], done: Sequence[ObjectChange], tell: Tell
) -> list[ObjectChange]:
    """Those deleted now; each is gone, and KEDA's HPA with it, before anything else scales its Deployment."""
    todo = [change for change in early if change not in done]
    for change in todo:
        key = change.key
        _prune(api, change, tell)
        hpa = replace(key, api_version="autoscaling/v2", kind="HorizontalPodAutoscaler", name=f"keda-hpa-{key.name}")
        left = wait_until_gone(api, [key, hpa], patience=Patience(_SCALER_GOES_S), tell=tell)
        if left:
            what = f"{left[0]} is still there {_SCALER_GOES_S:g} s after its deletion"
            raise OutsideError(what, fix="does KEDA's operator run? It holds the finalizer")
    return todo


def _prune(api: ApiServer, change: ObjectChange, tell: Tell) -> None:
    api.delete(change.key)
    tell(f"{change.key} deleted: the spec has it no more")


def _take_back(api: ApiServer, namespaces: Iterable[ObjectKey], tell: Tell) -> None:
    for key in namespaces:
        try:
            api.delete(key)
            tell(f"{key} deleted again")
        except OutsideError:  # the first error is the one to show
            tell(f"{key} stays, empty")
