"""May an engine run on the GPU nodes: its tolerations and node labels against theirs."""

from collections.abc import Iterator, Sequence

from flyball.cluster.doctor.expected import EngineWorkload, ExpectedService, gpu_resource
from flyball.cluster.doctor.facts import ClusterFacts
from flyball.cluster.doctor.nodes import advertised, gpu_nodes
from flyball.cluster.doctor.pools import may_grow, node_pools, pool_obstacles
from flyball.cluster.doctor.reading import name, place, rows
from flyball.cluster.doctor.scheduling import is_cordoned, is_ready, label_mismatches, lasting_taints, untolerated
from flyball.cluster.doctor.symptom import Checked, Symptom, broken, risky
from flyball.cluster.objects import PlainObject, labels_of


def obstacles(engine: EngineWorkload, node: PlainObject) -> Sequence[str]:
    """Why an engine may not run on a node at all, be it full or empty."""
    taints = untolerated(rows(engine.pod, "tolerations"), lasting_taints(node))
    return [*(f"taint {taint}" for taint in taints), *label_mismatches(engine.pod, labels_of(node))]


def usable(engine: EngineWorkload, facts: ClusterFacts) -> Sequence[PlainObject]:
    """The nodes on which an engine may run and that take new pods."""
    resource = gpu_resource(engine.pod)
    nodes = [node for node in gpu_nodes(facts) if advertised(node, resource) and not is_cordoned(node)]
    return [node for node in nodes if is_ready(node) and not obstacles(engine, node)]


def check_placement(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """Tolerations and node labels of each engine against the nodes and the node pools."""
    symptoms = [symptom for engine in expected.engines for symptom in _placement(engine, facts, expected)]
    counts = ", ".join(f"{len(usable(engine, facts))} for {engine.name}" for engine in expected.engines)
    return Checked(answer=f"nodes that take an engine: {counts or 'no engine'}", symptoms=symptoms)


def _placement(engine: EngineWorkload, facts: ClusterFacts, expected: ExpectedService) -> Iterator[Symptom]:
    nodes = [node for node in gpu_nodes(facts) if advertised(node, gpu_resource(engine.pod))]
    open_to_it = [node for node in nodes if not obstacles(engine, node)]
    for node in open_to_it:
        if is_cordoned(node):
            fix = f"kubectl uncordon {name(node)}, unless it is being drained"
            yield risky(place(node), asked="takes new pods", answered="cordoned", fix=fix)
    pools = node_pools(facts, expected)
    if open_to_it or any(not pool_obstacles(engine, pool) for pool in pools):
        return
    asked, symptom = f"may {engine.name} run there", risky if may_grow(facts, expected) and not pools else broken
    fix = "let the engine tolerate the taint, or correct the label in its node selector or on the nodes"
    for node in nodes:
        yield symptom(place(node), asked=asked, answered=f"no: {'; '.join(obstacles(engine, node))}", fix=fix)
    for pool in pools:
        yield broken(place(pool), asked=asked, answered=f"no: {'; '.join(pool_obstacles(engine, pool))}", fix=fix)
