"""Is there room for the smallest and the largest number of replicas, beside what else runs on the nodes?"""

from collections.abc import Iterator
from fractions import Fraction

from flyball.cluster.doctor.expected import ExpectedService
from flyball.cluster.doctor.facts import ClusterFacts
from flyball.cluster.doctor.pools import gpus_left, may_grow, pool_symptoms
from flyball.cluster.doctor.room import Room, rooms
from flyball.cluster.doctor.scheduling import requests_of
from flyball.cluster.doctor.symptom import Checked, Symptom, broken, risky


def check_capacity(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """Room for `min` and for `max` replicas, on the nodes and in the pools."""
    found = rooms(facts, expected)
    symptoms = dict.fromkeys(symptom for room in found for symptom in _symptoms(room, facts, expected))
    answers = (
        f"{room.here} of {room.engine.name} run or fit, {room.engine.least} to {room.engine.most} wanted"
        for room in found
    )
    return Checked(answer="; ".join(answers) or "no engine", symptoms=tuple(symptoms))


def _symptoms(room: Room, facts: ClusterFacts, expected: ExpectedService) -> Iterator[Symptom]:
    for pool in room.pools:
        yield from pool_symptoms(pool, room.resource)
    engine, reachable = room.engine, room.reachable
    if reachable >= engine.most:
        return
    other_growth = "" if room.pools else may_grow(facts, expected)
    is_enough = reachable >= engine.least or bool(other_growth)
    asked = f"room for {engine.least} to {engine.most} replicas of {engine.name}, {engine.gpus} {room.resource} each"
    answered = f"for {reachable}: {_why(room)}"
    if room.pools:
        answered += f", and pools may add {sum(gpus_left(pool, room.resource) for pool in room.pools):.0f}"
    if other_growth:
        answered += f"; more only by {other_growth}"
    gpus = engine.gpus * (engine.most - reachable)
    fix = f"{gpus} more GPUs, {engine.gpus} or more on each node, or a lower scaling.max"
    yield (risky if is_enough else broken)("nodes", asked=asked, answered=answered, fix=fix)


def _why(room: Room) -> str:
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
    others = "".join(f", of which {other} gets {gpus}" for other, gpus in room.others.items())
    return f"{total} GPUs are free on {len(room.free)} nodes{others}"
