"""What a rule is: a small function over one kind of subject, with what its findings have in common."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from flyball.lint.engine import Engine
from flyball.lint.finding import Finding, Place, RuleInfo, Severity
from flyball.lint.manifests import Manifests, Scaling
from flyball.lint.node import Node
from flyball.lint.query import Query
from flyball.lint.reading import KubernetesObject


class Subject(Protocol):
    """What a rule looks at; findings are placed in its object."""

    @property
    def object(self) -> KubernetesObject: ...


S = TypeVar("S", bound=Subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """Where a rule fires. What it says and the fix are one line each, with the numbers of the case."""

    at: Node
    says: str
    fix: str
    evidence: str = ""
    """The value, if it is not the text of the node."""
    within: KubernetesObject | None = None
    """The object of `at`, if it is not the subject's."""
    severity: Severity | None = None
    """Where a case is better or worse than the rule's usual one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A finding with the object it is in."""

    finding: Finding
    object: KubernetesObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One known way to get it wrong."""

    info: RuleInfo
    check: Callable[[Manifests], Iterator[Located]]


def rules_over(
    subjects: Callable[[Manifests], Iterable[S]],
) -> "Callable[..., Callable[[Callable[[S], Iterable[Hit]]], Rule]]":
    """A decorator that makes a rule of a function that yields hits in one subject; its name becomes the rule's id."""

    def declared(
        severity: Severity, *, finds: str, why: str, reference: str
    ) -> Callable[[Callable[[S], Iterable[Hit]]], Rule]:
        def decorate(function: Callable[[S], Iterable[Hit]]) -> Rule:
            def check(manifests: Manifests) -> Iterator[Located]:
                for subject in subjects(manifests):
                    for hit in function(subject):
                        yield located(hit, info, subject.object)

            info = RuleInfo(
                id=function.__name__.replace("_", "-"), severity=severity, finds=finds, why=why, reference=reference
            )
            return Rule(info=info, check=check)

        return decorate

    return declared


def located(hit: Hit, info: RuleInfo, within: KubernetesObject) -> Located:
    each = hit.within or within
    place = Place(
        file=hit.at.file or each.file,
        line=hit.at.line,
        kind=each.kind,
        namespace=each.namespace,
        name=each.name,
        key_path=hit.at.key_path,
    )
    finding = info.finding(
        place, message=hit.says, evidence=hit.evidence or hit.at.written, fix=hit.fix, severity=hit.severity
    )
    return Located(finding=finding, object=each)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InContext:
    """An engine with everything around it, for rules that relate objects."""

    engine: Engine
    manifests: Manifests

    @property
    def object(self) -> KubernetesObject:
        return self.engine.object


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObjectInContext:
    """An object with everything around it."""

    object: KubernetesObject
    manifests: Manifests


def _engines(manifests: Manifests) -> Iterable[Engine]:
    return manifests.engines


def _serving(manifests: Manifests) -> Iterable[Engine]:
    return (engine for engine in manifests.engines if engine.serves)


def _in_context(manifests: Manifests) -> Iterable[InContext]:
    return (InContext(engine=engine, manifests=manifests) for engine in manifests.engines if engine.serves)


def _scalings(manifests: Manifests) -> Iterable[Scaling]:
    return manifests.scalings


def _queries(manifests: Manifests) -> Iterable[Query]:
    return manifests.queries


def _objects(manifests: Manifests) -> Iterable[ObjectInContext]:
    return (ObjectInContext(object=each, manifests=manifests) for each in manifests.objects)


engine_rule = rules_over(_engines)
"""Over every vLLM container, the one of a Job or a headless rank included."""
serving_rule = rules_over(_serving)
"""Over every vLLM container that clients send requests to."""
context_rule = rules_over(_in_context)
"""The same, with the other objects at hand."""
scaling_rule = rules_over(_scalings)
query_rule = rules_over(_queries)
object_rule = rules_over(_objects)
"""Over every object, whatever its kind."""
