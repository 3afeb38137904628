"""Is there room for the smallest and the largest number of replicas, beside what else runs on the nodes?"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from flyball.cluster.doctor.expected import EngineWorkload, ExpectedService, gpu_resource
from flyball.cluster.doctor.facts import ClusterFacts
from flyball.cluster.doctor.placement import usable
from flyball.cluster.doctor.pools import gpus_left, may_grow, node_pools, pool_obstacles, pool_symptoms
from flyball.cluster.doctor.reading import text
from flyball.cluster.doctor.resource import ALL_PODS, PODS
from flyball.cluster.doctor.scheduling import fits, free_on, requests_of
from flyball.cluster.doctor.service_pods import pods_of
from flyball.cluster.doctor.symptom import Checked, Symptom, broken, risky
from flyball.cluster.objects import PlainObject


@dataclass(frozen=True, slots=True, kw_only=True)
class _Room:
    """Where the replicas of one workload are, and where more would fit."""

    engine: EngineWorkload
    free: Mapping[str, Mapping[str, Fraction]]
    """What is free on each node that takes an engine."""
    placed: int
    """Replicas that have a node already."""
    pools: Sequence[PlainObject]
    """Karpenter pools whose nodes would take an engine."""

    @property
    def resource(self) -> str:
        return gpu_resource(self.engine.pod)

    @property
    def here(self) -> int:
        """Replicas that run, or would fit on the nodes that are there."""
        wanted = requests_of(self.engine.pod)
        return self.placed + sum(fits(wanted, free) for free in self.free.values())

    @property
    def addable_gpus(self) -> float:
        """GPUs that the pools may still add; infinite without a limit."""
        return sum((gpus_left(pool, self.resource) for pool in self.pools), 0.0)


def check_capacity(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """Room for `min` and for `max` replicas, on the nodes and in the pools."""
    rooms = [_room(engine, facts, expected) for engine in expected.engines]
    symptoms = [symptom for room in rooms for symptom in _symptoms(room, facts, expected)]
    answers = (
        f"{room.here} of {room.engine.name} run or fit, {room.engine.least} to {room.engine.most} wanted"
        for room in rooms
    )
    return Checked(answer="; ".join(answers) or "no engine", symptoms=symptoms)


def _room(engine: EngineWorkload, facts: ClusterFacts, expected: ExpectedService) -> _Room:
    return _Room(
        engine=engine,
        free=free_on(usable(engine, facts), facts.of(ALL_PODS)),
        placed=sum(bool(text(pod, "spec", "nodeName")) for pod in pods_of(engine, facts.of(PODS))),
        pools=[pool for pool in node_pools(facts, expected) if not pool_obstacles(engine, pool)],
    )


def _symptoms(room: _Room, facts: ClusterFacts, expected: ExpectedService) -> Iterator[Symptom]:
    for pool in room.pools:
        yield from pool_symptoms(pool, room.resource)
    engine, here = room.engine, room.here
    reachable = here + room.addable_gpus / max(engine.gpus, 1)
    if reachable >= engine.most:
        return
    other_growth = "" if room.pools else may_grow(facts, expected)
    is_enough = reachable >= engine.least or bool(other_growth)
    asked = f"room for {engine.least} to {engine.most} replicas of {engine.name}, {engine.gpus} {room.resource} each"
    answered = f"for {math.floor(reachable)}: {_why(room)}"
    if room.pools:
        answered += f", and pools may add {room.addable_gpus:.0f}"
    if other_growth:
        answered += f"; more only by {other_growth}"
    gpus = engine.gpus * (engine.most - math.floor(reachable))
    fix = f"{gpus} more GPUs, {engine.gpus} or more on each node, or a lower scaling.max"
    yield (risky if is_enough else broken)("nodes", asked=asked, answered=answered, fix=fix)


def _why(room: _Room) -> str:
    """What is missing on the nodes where an engine may run."""
    free_gpus = {node: int(free.get(room.resource, Fraction(0))) for node, free in room.free.items()}
    if not free_gpus:
        return "no Ready node takes it"
    total, largest = sum(free_gpus.values()), max(free_gpus.values())
    if total >= room.engine.gpus > largest:
        return f"{total} GPUs are free, at most {largest} on one node"
    short = {
        resource
        for node, free in room.free.items()
        for resource, value in requests_of(room.engine.pod).items()
        if free_gpus[node] >= room.engine.gpus and free.get(resource, Fraction(0)) < value
    }
    if short:
        return f"nodes with {largest} free GPUs lack {', '.join(sorted(short))}"
    return f"{total} GPUs are free on {len(room.free)} nodes"
