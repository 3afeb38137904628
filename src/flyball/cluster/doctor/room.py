"""Where the replicas of each workload are or would fit, when all of them want the same nodes and pools."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from flyball.cluster.doctor.expected import EngineWorkload, ExpectedService, gpu_resource
from flyball.cluster.doctor.facts import ClusterFacts
from flyball.cluster.doctor.placement import usable
from flyball.cluster.doctor.pools import gpus_left, node_pools, pool_obstacles
from flyball.cluster.doctor.reading import name, text
from flyball.cluster.doctor.resource import ALL_PODS, PODS
from flyball.cluster.doctor.scheduling import fits, free_on, requests_of
from flyball.cluster.doctor.service_pods import pods_of
from flyball.cluster.objects import PlainObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """For one workload, beside what the others of the service need."""

    engine: EngineWorkload
    placed: int
    """Replicas that have a node already."""
    fitting: int
    """More replicas that fit on the nodes that are there, up to the largest number that is wanted."""
    addable: int
    """More replicas that node pools could bring, likewise."""
    pools: Sequence[PlainObject]
    """Karpenter pools whose nodes would take an engine."""
    free: Mapping[str, Mapping[str, Fraction]]
    """What is free on each node that takes an engine, before any of the workloads gets more."""
    others: Mapping[str, int]
    """The GPUs of it that other workloads of the service get, by their names."""

    @property
    def resource(self) -> str:
        return gpu_resource(self.engine.pod)

    @property
    def here(self) -> int:
        """Replicas that run, or would fit on the nodes that are there."""
        return self.placed + self.fitting

    @property
    def reachable(self) -> int:
        """Replicas with the nodes that pools may add."""
        return self.here + self.addable


def rooms(facts: ClusterFacts, expected: ExpectedService) -> Sequence[Room]:
    """First each workload gets its smallest number of replicas, then each its largest: no GPU counts twice."""
    engines = expected.engines
    nodes = {each.name: usable(each, facts) for each in engines}
    takers = Counter(name(node) for found in nodes.values() for node in found)
    before = free_on([node for found in nodes.values() for node in found], facts.of(ALL_PODS))
    left = {node: dict(free) for node, free in before.items()}
    pools = {
        each.name: [pool for pool in node_pools(facts, expected) if not pool_obstacles(each, pool)] for each in engines
    }
    # Nodes that fewer of them can use go first, so that the rest stays for those who can use nothing else.
    choice = {each.name: sorted(map(name, nodes[each.name]), key=lambda node: takers[node]) for each in engines}
    budgets = {
        name(pool): gpus_left(pool, gpu_resource(each.pod)) for each in reversed(engines) for pool in pools[each.name]
    }
    placed = {each.name: _placed(each, facts) for each in engines}
    fitting, addable = Counter[str](), Counter[str]()
    given: dict[str, Counter[str]] = {each.name: Counter() for each in engines}
    for each, count in [*((each, each.least) for each in engines), *((each, each.most) for each in engines)]:
        while placed[each.name] + fitting[each.name] + addable[each.name] < count:
            node = _given_by_node(each, choice[each.name], left)
            if node:
                fitting[each.name] += 1
                given[each.name][node] += each.gpus
            elif _given_by_pool(each, pools[each.name], budgets):
                addable[each.name] += 1
            else:
                break
    return [
        Room(
            engine=each,
            placed=placed[each.name],
            fitting=fitting[each.name],
            addable=addable[each.name],
            pools=pools[each.name],
            free={node: before[node] for node in choice[each.name]},
            others=_taken_by_others(each, choice[each.name], given),
        )
        for each in engines
    ]


def _placed(engine: EngineWorkload, facts: ClusterFacts) -> int:
    return sum(bool(text(pod, "spec", "nodeName")) for pod in pods_of(engine, facts.of(PODS)))


def _given_by_node(engine: EngineWorkload, nodes: Sequence[str], left: dict[str, dict[str, Fraction]]) -> str:
    """The node that takes one more replica, less what that needs; empty if none does."""
    wanted = requests_of(engine.pod)
    node = next((each for each in nodes if fits(wanted, left[each])), "")
    if node:
        for resource, value in wanted.items():
            left[node][resource] = left[node].get(resource, Fraction(0)) - value
    return node


def _given_by_pool(engine: EngineWorkload, pools: Sequence[PlainObject], budgets: dict[str, float]) -> bool:
    pool = next((name(each) for each in pools if budgets[name(each)] >= max(engine.gpus, 1)), "")
    if pool:
        budgets[pool] -= engine.gpus
    return bool(pool)


def _taken_by_others(
    engine: EngineWorkload, nodes: Sequence[str], given: Mapping[str, Counter[str]]
) -> Mapping[str, int]:
    others = {other: sum(gpus[node] for node in nodes) for other, gpus in given.items() if other != engine.name}
    return {other: gpus for other, gpus in others.items() if gpus}
