"""What a verb of the cluster is about: the objects of a spec or of manifest files, and the installation they make."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from flyball.cli.plan_table import print_plan
from flyball.cli.spec_file import read_spec, read_text
from flyball.cluster.installed import PART_OF, Installation
from flyball.cluster.objects import PlainObject, dig, labels_of
from flyball.errors import UsageError

_ADAPTER_VALUES = "prometheus-adapter-values.yaml"  # as `flyball render -o dir` names it
_SUFFIXES = (".yaml", ".yml", ".json")
_NEITHER = "name a spec, or --manifests with a file or a folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The objects that the cluster shall have. Without an installation nothing is known of earlier versions."""

    objects: tuple[PlainObject, ...]
    installation: Installation | None
    adapter_values: PlainObject | None = None
    """Helm values of the Prometheus Adapter, where it feeds the autoscaler."""


def wanted_objects(
    spec: Path | None, manifests: Path | None, *, catalog: Path | None = None, vllm: str | None = None
) -> Wanted | None:
    """Of the spec or the files; None, and the reason on standard error, if no plan meets the spec."""
    if (spec is None) == (manifests is None):
        raise UsageError("a spec or manifests are needed, and not both", fix=_NEITHER)
    if manifests is not None:
        objects = tuple(_read_manifests(manifests))
        beside = manifests / _ADAPTER_VALUES
        values = read_text(beside) if beside.exists() else ""
        return Wanted(
            objects=objects, installation=_installation_in(objects), adapter_values=_parsed(values, source=beside)
        )
    from flyball.cli.rendering import rendered

    assert spec is not None
    made = rendered(spec, catalog=catalog, vllm=vllm)
    if made.design is None:
        print_plan(made.spec, made.outcome, sys.stderr, why=False)
        return None
    return Wanted(
        objects=tuple(manifest.plain for manifest in made.manifests),
        installation=Installation(name=made.design.name, namespace=made.design.namespace),
        adapter_values=_parsed(made.side_files.get(_ADAPTER_VALUES, ""), source=Path(_ADAPTER_VALUES)),
    )


def the_installation(spec: Path | None, manifests: Path | None) -> Installation:
    """Its name and namespace, without a plan: what is in the cluster may be of another time."""
    if (spec is None) == (manifests is None):
        raise UsageError("a spec or manifests are needed, and not both", fix=_NEITHER)
    if spec is not None:
        document = read_spec(spec)
        return Installation(name=document.name, namespace=document.kubernetes.namespace)
    assert manifests is not None
    found = _installation_in(tuple(_read_manifests(manifests)))
    if found is None:
        what = f"{manifests}: its objects are not of one service: they lack a common label {PART_OF} and namespace"
        raise UsageError(what, fix="use manifests of `flyball render`")
    return found


def _installation_in(objects: Sequence[PlainObject]) -> Installation | None:
    names = {labels_of(body).get(PART_OF) for body in objects if body.get("kind") != "Namespace"} - {None}
    namespaces = {dig(body, "metadata", "namespace") for body in objects} - {None}
    if len(names) != 1 or len(namespaces) != 1:
        return None
    return Installation(name=str(names.pop()), namespace=str(namespaces.pop()))


def _read_manifests(path: Path) -> Iterator[PlainObject]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in _SUFFIXES)
        files = [file for file in files if file.name != "kustomization.yaml"]
    else:
        files = [path]
    found = False
    for file in files:
        for body in _objects(file):
            found = True
            yield body
    if not found:
        raise UsageError(f"{path}: no Kubernetes object in it", fix="name manifests, or render the chart first")


def _parsed(text: str, *, source: Path) -> PlainObject | None:
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{source} is not YAML: {' '.join(str(error).split())}", fix="mend it there") from None
    return document if isinstance(document, dict) else None


def _objects(file: Path) -> Iterator[PlainObject]:
    try:
        documents = list(yaml.safe_load_all(read_text(file)))
    except yaml.YAMLError as error:
        raise UsageError(f"{file} is not YAML: {' '.join(str(error).split())}", fix="mend it there") from None
    for document in documents:
        listed = document.get("items", []) if isinstance(document, dict) and document.get("kind") == "List" else None
        for body in [document] if listed is None else listed:
            # A folder of ours has Helm values beside the objects.
            if isinstance(body, dict) and "kind" in body and isinstance(body.get("metadata"), dict):
                yield body
