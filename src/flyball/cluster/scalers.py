"""One autoscaler for each Deployment: which must go before a new one comes, and which forbid it.

KEDA's admission refuses a ScaledObject for what an HPA scales already; the HPA controller acts on neither of two HPAs.
So an old scaler of ours is deleted first, and the number of replicas stays as it is in between. Somebody else's is
never deleted.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from flyball.cluster.objects import ObjectKey, PlainObject, dig, key_of

SCALERS = frozenset({"HorizontalPodAutoscaler", "ScaledObject"})
Target = tuple[str, str, str]
"""(kind, namespace, name)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """Somebody else's scaler of what we are about to scale."""

    key: ObjectKey
    target: Target

    @property
    def what(self) -> str:
        return f"{self.key} scales {self.target[0]} {self.target[2]} already, and flyball did not create it"

    @property
    def fix(self) -> str:
        where = f"-n {self.key.namespace} " if self.key.namespace else ""
        return f"one of them can scale it: kubectl {where}delete {self.key.kind.lower()} {self.key.name}"


def scale_target(scaler: PlainObject) -> Target:
    """What an HPA or a ScaledObject scales."""
    reference = dig(scaler, "spec", "scaleTargetRef", default={})
    kind = str(reference.get("kind") or "Deployment")  # KEDA's default
    return kind, key_of(scaler).namespace, str(reference.get("name", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class OldScaler:
    """A scaler of an earlier version of the spec, which must go."""

    key: ObjectKey
    target: Target
    is_replaced: bool
    """Whether another one scales the target from now on; otherwise the spec gives a fixed number."""

    @property
    def note(self) -> str:
        if not self.is_replaced:
            return "goes first: the spec gives a fixed number of replicas"
        return "goes first, and the number of replicas stays: two autoscalers on one Deployment would undo each other"


def superseded(obsolete: Iterable[PlainObject], wanted: Sequence[PlainObject]) -> tuple[OldScaler, ...]:
    """The scalers among obsolete objects whose Deployment stays, to be scaled otherwise or not at all."""
    kept = {(key.kind, key.namespace, key.name) for key in map(key_of, wanted)}
    scaled = {scale_target(body) for body in wanted if body.get("kind") in SCALERS}
    return tuple(
        OldScaler(key=key_of(body), target=scale_target(body), is_replaced=scale_target(body) in scaled)
        for body in obsolete
        if body.get("kind") in SCALERS and scale_target(body) in kept
    )


def rivals(
    live: Iterable[PlainObject], wanted: Sequence[PlainObject], going: Collection[ObjectKey]
) -> tuple[Rival, ...]:
    """The live HPAs that scale what a wanted scaler is to scale, and neither are it, nor are KEDA's for it, nor go."""
    scalers = {scale_target(body): key_of(body) for body in wanted if body.get("kind") in SCALERS}
    found = []
    for hpa in live:
        mine = scalers.get(scale_target(hpa))
        if mine is not None and not is_of(hpa, (mine, *going)):
            found.append(Rival(key=owner_of(hpa) or key_of(hpa), target=scale_target(hpa)))
    return tuple(found)


def owner_of(hpa: PlainObject) -> ObjectKey | None:
    """The ScaledObject whose HPA this is."""
    for owner in dig(hpa, "metadata", "ownerReferences", default=()):
        if owner.get("kind") == "ScaledObject":
            return ObjectKey(
                api_version=str(owner.get("apiVersion", "keda.sh/v1alpha1")),
                kind="ScaledObject",
                name=str(owner.get("name", "")),
                namespace=key_of(hpa).namespace,
            )
    return None


def is_of(hpa: PlainObject, scalers: Collection[ObjectKey]) -> bool:
    """Whether it is one of these, or KEDA made it for one of them."""
    return any(_is_same(owner_of(hpa) or key_of(hpa), each) for each in scalers)


def _is_same(one: ObjectKey, other: ObjectKey) -> bool:
    """Whatever the version."""
    return (one.kind, one.namespace, one.name) == (other.kind, other.namespace, other.name)
