"""Is the container runtime class there, where one is asked for or needed?"""

from collections.abc import Iterator

from flyball.cluster.doctor.expected import EngineWorkload, ExpectedService
from flyball.cluster.doctor.facts import ClusterFacts
from flyball.cluster.doctor.nodes import gpu_nodes
from flyball.cluster.doctor.reading import name, named, place, table, text
from flyball.cluster.doctor.resource import RUNTIME_CLASSES
from flyball.cluster.doctor.symptom import Checked, Symptom, broken

_NEED_A_CLASS = ("+k3s", "+rke2")
"""In the kubelet's version: distributions whose default runtime hands no GPU to a container (Talos: in osImage)."""


def check_runtime_class(facts: ClusterFacts, expected: ExpectedService) -> Checked:
    """The engine's runtime class exists; and where the distribution needs one, it is named."""
    symptoms: list[Symptom] = []
    answers = []
    for engine in expected.engines:
        wanted = text(engine.pod, "runtimeClassName")
        answers.append(wanted or "none asked for")
        if wanted and named(facts.of(RUNTIME_CLASSES), wanted) is None:
            names = ", ".join(map(name, facts.of(RUNTIME_CLASSES))) or "none"
            fix = (
                "leave it out: most clusters hand GPUs to containers without one"
                if names == "none"
                else "name one of them"
            )
            answered = f"not there; there are: {names}"
            symptoms.append(broken(place(engine.object), asked=f"RuntimeClass {wanted}", answered=answered, fix=fix))
        elif not wanted and named(facts.of(RUNTIME_CLASSES), "nvidia") is not None:
            symptoms += _missing_class(facts, engine)
    return Checked(answer=", ".join(answers) or "no engine", symptoms=symptoms)


def _missing_class(facts: ClusterFacts, engine: EngineWorkload) -> Iterator[Symptom]:
    for node in gpu_nodes(facts):
        info = table(node, "status", "nodeInfo")
        needs = next((mark for mark in _NEED_A_CLASS if mark in text(info, "kubeletVersion")), "")
        needs = needs.lstrip("+") or ("Talos" if "Talos" in text(info, "osImage") else "")
        if needs:
            answered = f"none, and {name(node)} runs {needs}: the container would see no GPU"
            fix = "runtimeClassName: nvidia, which this cluster has"
            yield broken(place(engine.object), asked="runtimeClassName", answered=answered, fix=fix)
            return
