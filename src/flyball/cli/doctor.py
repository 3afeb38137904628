"""`flyball doctor`."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import yaml
from cyclopts import Parameter

from flyball.cli.doctor_table import print_walk, walk_document
from flyball.cli.spec_file import read_text
from flyball.cluster.connection import connect
from flyball.cluster.doctor import ExpectedService, expected_service, gather, walk
from flyball.cluster.installed import PART_OF
from flyball.cluster.objects import PlainObject
from flyball.errors import UsageError

_TIMEOUT_S = 15.0
_ADAPTER_VALUES = "prometheus-adapter-values.yaml"


def doctor(
    spec: Path | None = None,
    *,
    manifests: Path | None = None,
    prometheus: str | None = None,
    context: str | None = None,
    kubeconfig: Path | None = None,
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Walk a live cluster from the API server to the replicas and name the first broken link. Changes nothing.

    Exit code 0 if everything holds (warnings are allowed), 1 if something is broken or could not be seen,
    3 if the API server does not answer to the end.

    Parameters
    ----------
    spec
        The spec file: what it renders to is what the cluster has to carry.
    manifests
        A file with the objects instead, for example of `kubectl kustomize` or `helm template`.
    prometheus
        Ask Prometheus at this URL instead of through the API server: http://localhost:9090 of a port-forward.
    context
        The kubeconfig's context.
    kubeconfig
        The kubeconfig file, instead of $KUBECONFIG or ~/.kube/config.
    output
        A table, or JSON.

    """
    expected = _expected(spec, manifests)
    if expected is None:
        print(f"no plan meets {spec}, so there is nothing to look for: `flyball plan` says why", file=sys.stderr)
        return 1
    with connect(context=context, kubeconfig=kubeconfig, timeout_s=_TIMEOUT_S) as api:
        where = f"{expected.name} in namespace {expected.namespace}"
        print(f"{where}: asking {api.target}", file=sys.stderr)
        facts = gather(api, expected, now=datetime.now(UTC), prometheus=prometheus)
    found = walk(facts, expected)
    if output == "json":
        print(json.dumps(walk_document(found, context=facts.context, server=facts.server), indent=2))
    else:
        print_walk(found, sys.stdout)
    if not found.is_complete:
        return 3
    return 0 if found.is_sound else 1


def _expected(spec: Path | None, manifests: Path | None) -> ExpectedService | None:
    """None if no plan meets the spec, so that nothing is rendered."""
    if manifests is not None:
        return _of_manifests(manifests)
    if spec is None:
        raise UsageError("nothing to compare the cluster with", fix="name a spec, or --manifests FILE")
    from flyball.cli.rendering import rendered

    result = rendered(spec)
    if result.design is None:
        return None
    values = yaml.safe_load(result.side_files.get(_ADAPTER_VALUES, ""))
    return expected_service(
        [manifest.plain for manifest in result.manifests],
        name=result.design.name,
        namespace=result.design.namespace,
        prometheus=result.design.kubernetes.prometheus,
        adapter_values=values,
    )


def _of_manifests(file: Path) -> ExpectedService:
    """The service in anyone's manifests: what their Deployment of engines says it is part of, and where it is."""
    try:
        documents = list(yaml.safe_load_all(read_text(file)))
    except yaml.YAMLError as error:
        raise UsageError(f"{file} is not YAML: {' '.join(str(error).split())}", fix="render the chart first") from None
    mappings = [each for each in documents if isinstance(each, dict)]
    objects: list[PlainObject] = [each for each in mappings if "kind" in each]
    values = next((each for each in mappings if "kind" not in each and "rules" in each), None)
    engines = expected_service(objects, name="", namespace="").engines
    if not engines:
        what = f"{file}: no Deployment with GPUs"
        raise UsageError(what, fix="name manifests of an engine: a Deployment with limits of nvidia.com/gpu")
    metadata = engines[0].object["metadata"]
    name = (metadata.get("labels") or {}).get(PART_OF, engines[0].name)
    namespace = metadata.get("namespace") or "default"
    return expected_service(objects, name=name, namespace=namespace, adapter_values=values)
