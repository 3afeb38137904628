"""Pod templates of every kind of workload, and what selects them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flyball.lint.node import Node
from flyball.lint.reading import KubernetesObject

_TEMPLATES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "Pod": ((),),
    "Deployment": (("spec", "template"),),
    "StatefulSet": (("spec", "template"),),
    "ReplicaSet": (("spec", "template"),),
    "DaemonSet": (("spec", "template"),),
    "Job": (("spec", "template"),),
    "CronJob": (("spec", "jobTemplate", "spec", "template"),),
    "LeaderWorkerSet": (
        ("spec", "leaderWorkerTemplate", "leaderTemplate"),
        ("spec", "leaderWorkerTemplate", "workerTemplate"),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PodTemplate:
    """The pods that an object makes."""

    object: KubernetesObject
    root: Node
    """With `metadata` and `spec`."""

    @property
    def spec(self) -> Node:
        return self.root.at("spec")

    @property
    def labels(self) -> Mapping[str, str]:
        return {key: value.text for key, value in self.root.at("metadata", "labels").entries()}

    @property
    def runs_to_completion(self) -> bool:
        return self.object.kind in ("Job", "CronJob")

    @property
    def containers(self) -> tuple[Node, ...]:
        """Those that run as long as the pod: sidecars among the init containers too."""
        sidecars = [
            each for each in self.spec.at("initContainers").items() if each.at("restartPolicy").text == "Always"
        ]
        return (*self.spec.at("containers").items(), *sidecars)

    @property
    def replicas(self) -> int:
        """As the manifest says, 1 if it does not."""
        number = self.object.spec.at("replicas").number
        return 1 if number is None or self.object.kind == "Pod" else int(number)

    def annotation(self, name: str) -> Node:
        return self.root.at("metadata", "annotations", name)


def pod_templates(each: KubernetesObject) -> Iterator[PodTemplate]:
    for keys in _TEMPLATES.get(each.kind, ()):
        root = each.root.at(*keys)
        if root.at("spec").exists:
            yield PodTemplate(object=each, root=root)


def same_namespace(one: KubernetesObject, other: KubernetesObject) -> bool:
    """A manifest may leave the namespace to whoever applies it; then it may be any."""
    return not one.namespace or not other.namespace or one.namespace == other.namespace


def selects(selector: Node, labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector matches; an empty one matches everything, a missing one nothing."""
    if not selector.exists:
        return False
    wanted = {key: value.text for key, value in selector.at("matchLabels").entries()}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(
        _requirement(each, labels) for each in selector.at("matchExpressions").items()
    )


def _requirement(requirement: Node, labels: Mapping[str, str]) -> bool:
    key, operator = requirement.at("key").text, requirement.at("operator").text
    values = [value.text for value in requirement.at("values").items()]
    match operator:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return False


def plain_selector_matches(selector: Node, labels: Mapping[str, str]) -> bool:
    """Whether a Service's selector, a plain mapping, matches; an empty or missing one matches nothing."""
    wanted = {key: value.text for key, value in selector.entries()}
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())
