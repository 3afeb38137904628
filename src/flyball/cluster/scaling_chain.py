"""ScaledObject -> HPA -> Deployment, read as one chain: what the signal is, what it is held to, what was decided."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from flyball.cluster.conditions import SCALED_TO_ZERO, condition, conditions, troubles
from flyball.cluster.hpa_metrics import Signal, signals
from flyball.cluster.objects import PlainObject, dig, key_of
from flyball.cluster.scalers import scale_target


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A condition that is not as it should be."""

    source: str
    type: str
    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingChain:
    """How one Deployment is scaled."""

    deployment: str
    scaled_object: str
    hpa: str
    min_replicas: int
    max_replicas: int
    current: int
    desired: int
    signals: tuple[Signal, ...]
    conditions: tuple[Condition, ...]
    """The ones that need attention."""
    remarks: tuple[str, ...]
    """What limits or pauses it, though nothing is wrong."""
    decisions: tuple[str, ...]
    """The last ones, newest first, in the autoscaler's words."""

    @property
    def is_working(self) -> bool:
        return not self.conditions


def scaling_chains(
    deployments: Iterable[PlainObject],
    hpas: Sequence[PlainObject],
    scaled_objects: Sequence[PlainObject],
    events: Sequence[PlainObject],
) -> tuple[ScalingChain, ...]:
    """One chain for every Deployment that something scales. `events` are the namespace's, oldest first."""
    chains: list[ScalingChain] = []
    for deployment in deployments:
        name = key_of(deployment).name
        hpa = next((each for each in hpas if _target(each) == name), None)
        scaled = next((each for each in scaled_objects if _target(each) == name), None)
        if hpa is not None or scaled is not None:
            chains.append(_chain(name, hpa, scaled, events))
    return tuple(chains)


def _chain(
    deployment: str, hpa: PlainObject | None, scaled: PlainObject | None, events: Sequence[PlainObject]
) -> ScalingChain:
    body = hpa or {}
    spec, status = body.get("spec") or {}, body.get("status") or {}
    name = key_of(body).name
    sources = [each for each in (hpa, scaled) if each is not None]
    wrong = [*_troubles(scaled, "ScaledObject"), *_hpa_troubles(hpa)]
    return ScalingChain(
        deployment=deployment,
        scaled_object=key_of(scaled).name if scaled else "",
        hpa=name,
        min_replicas=int(spec.get("minReplicas") or dig(scaled, "spec", "minReplicaCount", default=1)),
        max_replicas=int(spec.get("maxReplicas") or dig(scaled, "spec", "maxReplicaCount", default=0)),
        current=int(status.get("currentReplicas") or 0),
        desired=int(status.get("desiredReplicas") or 0),
        signals=signals(hpa),
        conditions=tuple(wrong),
        remarks=tuple(_remarks(hpa, scaled)),
        decisions=tuple(_decisions(events, sources)),
    )


def _target(scaler: PlainObject) -> str:
    kind, _, name = scale_target(scaler)
    return name if kind == "Deployment" else ""


def _hpa_troubles(hpa: PlainObject | None) -> list[Condition]:
    if hpa is None:
        message = "KEDA makes the HPA; is its operator running?"
        return [Condition(source="ScaledObject", type="HPA", status="False", reason="NoHPA", message=message)]
    return [each for each in _troubles(hpa, "HPA") if each.reason != SCALED_TO_ZERO]


def _troubles(body: PlainObject | None, source: str) -> Iterator[Condition]:
    for each in troubles(body):
        kind, status, reason, message = (str(each.get(key, "")) for key in ("type", "status", "reason", "message"))
        yield Condition(source=source, type=kind, status=status, reason=reason, message=message)


def _remarks(hpa: PlainObject | None, scaled: PlainObject | None) -> Iterator[str]:
    for each in conditions(hpa):
        if each.get("type") == "ScalingLimited" and each.get("status") == "True":
            yield f"limited: {each.get('message', '')}"
        if each.get("reason") == SCALED_TO_ZERO:
            yield "scaling is disabled: the Deployment has no replicas"
    paused = condition(scaled, "Paused")
    if paused.get("status") == "True":
        yield f"paused: {paused.get('message', '')}"


def _decisions(events: Sequence[PlainObject], sources: Sequence[PlainObject], *, last: int = 5) -> Iterator[str]:
    found = [event for event in events if any(_is_about(event, each) for each in sources)]
    for event in list(reversed(found))[:last]:
        when = str(event.get("lastTimestamp") or event.get("eventTime") or "")
        yield f"{when} {event.get('reason', '')}: {event.get('message', '')}".strip()


def _is_about(event: PlainObject, body: PlainObject) -> bool:
    """Whether it happened to this very object: those of an earlier one of that name stay for an hour."""
    key, uid = key_of(body), dig(body, "metadata", "uid")
    involved = event.get("involvedObject") or {}
    is_same = uid is None or involved.get("uid") in (None, uid)
    return is_same and (involved.get("kind"), involved.get("name")) == (key.kind, key.name)
