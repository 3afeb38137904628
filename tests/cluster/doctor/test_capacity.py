"""Room for several workloads that want the same GPUs."""

import copy
from typing import Any

import pytest

from flyball.cluster.doctor.capacity import check_capacity
from flyball.cluster.doctor.room import Room, rooms
from sound_cluster import Bench


def bench_with_floor(*, free: int, floor: int) -> Bench:
    """Two nodes of four GPUs with two replicas of an engine that wants up to four, and one that still is to come."""
    bench = Bench()
    deployment = copy.deepcopy(bench.rendered_object("Deployment", "chat-engine"))
    deployment["metadata"]["name"] = "chat-engine-floor"
    deployment["spec"]["replicas"] = floor
    deployment["spec"]["selector"]["matchLabels"]["flyball/capacity"] = "on-demand"
    deployment["spec"]["template"]["metadata"]["labels"]["flyball/capacity"] = "on-demand"
    bench.rendered.append(deployment)
    for node, gpus in (("gpu-1", 3), ("gpu-2", 3 - free)):
        resources = {"requests": {"nvidia.com/gpu": str(gpus)}}
        spec: dict[str, Any] = {"nodeName": node, "containers": [{"name": "train", "resources": resources}]}
        bench.add("Pod", metadata={"name": f"on-{node}", "namespace": "ml"}, spec=spec, status={"phase": "Running"})
    return bench


def room_of(bench: Bench) -> dict[str, Room]:
    return {room.engine.name: room for room in rooms(bench.facts(), bench.expected())}


@pytest.mark.parametrize(
    ("free", "floor", "others"),
    [(3, 1, 2), (3, 2, 1), (3, 3, 0), (2, 1, 1)],
)
def test_two_workloads_do_not_get_the_same_gpu(free: int, floor: int, others: int) -> None:
    """What one of them is to get is not free for the other; the smallest numbers come first."""
    found = room_of(bench_with_floor(free=free, floor=floor))

    assert (found["chat-engine-floor"].fitting, found["chat-engine"].fitting) == (floor, others)
    assert found["chat-engine"].placed == 2


def test_the_answer_says_who_gets_the_rest() -> None:
    """The reader sees free GPUs with `kubectl describe node`, and must be told why they are not enough."""
    bench = bench_with_floor(free=3, floor=3)

    symptoms = check_capacity(bench.facts(), bench.expected()).symptoms

    assert [symptom.answered for symptom in symptoms] == [
        "for 2: 3 GPUs are free on 2 nodes, of which chat-engine-floor gets 3"
    ]


def test_two_workloads_share_what_a_pool_may_add() -> None:
    """A pool's limit holds for both together."""
    bench = bench_with_floor(free=0, floor=2)
    spec = {"template": {"spec": {}}, "limits": {"nvidia.com/gpu": "3"}}
    bench.add("NodePool", "karpenter.sh/v1", metadata={"name": "gpus"}, spec=spec, status={})

    found = room_of(bench)

    assert (found["chat-engine-floor"].addable, found["chat-engine"].addable) == (2, 1)
