"""From text to Kubernetes objects: many documents in a file, lists, JSON, Helm's output; and what could not be read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flyball.lint.finding import Finding, Place, RuleInfo
from flyball.lint.node import Node
from flyball.lint.parsing import Mistake, parse_documents


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDocument:
    """A file's name, as findings should show it, and its text."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KubernetesObject:
    """One object, or one document of another kind that carries queries (`kind` says which, `api_version` is empty)."""

    file: str
    root: Node
    kind: str
    api_version: str
    namespace: str
    """Empty if the manifest leaves it to whoever applies it."""
    name: str

    @property
    def group(self) -> str:
        """`apps` of `apps/v1`; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def spec(self) -> Node:
        return self.root.at("spec")

    @property
    def is_live(self) -> bool:
        """Whether it was read from a cluster, which fills in what the author left out."""
        return self.root.at("metadata", "resourceVersion").exists or self.root.at("metadata", "uid").exists

    def annotation(self, name: str) -> Node:
        return self.root.at("metadata", "annotations", name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the documents hold: objects, and a finding for each document that is none."""

    objects: tuple[KubernetesObject, ...]
    findings: tuple[Finding, ...]

    @property
    def is_broken(self) -> bool:
        """Whether a document could not be read at all."""
        return any(finding.rule == BROKEN.id for finding in self.findings)


BROKEN = RuleInfo(
    id="broken-yaml",
    severity="error",
    finds="a document that is neither YAML nor JSON",
    why="nothing in this document was checked, and kubectl will refuse it",
    reference="https://yaml.org/spec/1.2.2/",
)
DUPLICATE = RuleInfo(
    id="duplicate-key",
    severity="error",
    finds="a key that stands twice in one mapping",
    why="only one of the two counts, and strict clients refuse the whole object",
    reference="https://yaml.org/spec/1.2.2/#mapping",
)
SKIPPED = RuleInfo(
    id="not-kubernetes",
    severity="info",
    finds="a document that is no Kubernetes object, and was not checked",
    why="the rules know Kubernetes objects, Prometheus rules, Grafana dashboards and values of the Prometheus Adapter",
    reference="https://kubernetes.io/docs/concepts/overview/working-with-objects/",
)


def read_objects(documents: Sequence[SourceDocument]) -> Reading:
    """Every object in `documents`, in their order. Nothing here raises: what cannot be read becomes a finding."""
    objects: list[KubernetesObject] = []
    findings: list[Finding] = []
    for document in documents:
        for parsed in parse_documents(document.text, file=document.name):
            if parsed.root is None:
                findings += [broken(document, mistake) for mistake in parsed.mistakes]
                continue
            found = list(objects_in(parsed.root, file=document.name))
            if not found:
                findings.append(skipped(document, parsed.root))
                continue
            objects += found
            findings += [duplicate(document, mistake, found[0]) for mistake in parsed.mistakes]
    return Reading(objects=tuple(objects), findings=tuple(findings))


def objects_in(root: Node, *, file: str) -> Iterator[KubernetesObject]:
    kind, api_version = root.at("kind").text, root.at("apiVersion").text
    items = root.at("items")
    if kind.endswith("List") and items.is_sequence:
        for item in items.items():
            yield from objects_in(item, file=file)
    elif kind and api_version:
        metadata = root.at("metadata")
        yield KubernetesObject(
            file=file,
            root=root,
            kind=kind,
            api_version=api_version,
            namespace=metadata.at("namespace").text,
            name=metadata.at("name").text or metadata.at("generateName").text,
        )
    elif bare := bare_kind(root):
        yield KubernetesObject(file=file, root=root, kind=bare, api_version="", namespace="", name="")


RULE_FILE, ADAPTER_VALUES, DASHBOARD = "Prometheus rule file", "Prometheus Adapter values", "Grafana dashboard"


def bare_kind(root: Node) -> str:
    """What a document that is no Kubernetes object may be and still carry queries; empty if it is nothing known."""
    groups, rules = root.at("groups"), root.at("rules")
    if any(group.at("rules").is_sequence for group in groups.items()):
        return RULE_FILE
    if any(rule.at("seriesQuery").exists for rule in (*rules.items(), *rules.at("custom").items())):
        return ADAPTER_VALUES
    if root.at("panels").is_sequence and (root.at("schemaVersion").exists or root.at("title").exists):
        return DASHBOARD
    return ""


def broken(document: SourceDocument, mistake: Mistake) -> Finding:
    line = document.text.split("\n")[mistake.line - 1 : mistake.line]
    template = any("{{" in each for each in line)
    return BROKEN.finding(
        Place(file=document.name, line=mistake.line),
        message=f"this document cannot be read: {mistake.problem}",
        evidence="".join(line).strip(),
        fix="render it first (`helm template`, `kustomize build`)" if template else "correct the YAML on this line",
    )


def duplicate(document: SourceDocument, mistake: Mistake, within: KubernetesObject) -> Finding:
    place = Place(file=document.name, line=mistake.line, kind=within.kind, namespace=within.namespace, name=within.name)
    evidence = document.text.split("\n")[mistake.line - 1].strip()
    return DUPLICATE.finding(place, message=mistake.problem, evidence=evidence, fix="keep one")


def skipped(document: SourceDocument, root: Node) -> Finding:
    keys = ", ".join(key for key, _ in list(root.entries())[:4])
    return SKIPPED.finding(
        Place(file=document.name, line=root.line),
        message="this document is no Kubernetes object (it has no kind and apiVersion) and was skipped",
        evidence=keys or type(root.value).__name__,
        fix="nothing, if that is so; render charts first (`helm template`)",
    )
