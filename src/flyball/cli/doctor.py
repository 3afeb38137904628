"""`flyball doctor`."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from flyball.cli.cluster_objects import Wanted, wanted_objects
from flyball.cli.doctor_table import print_walk, walk_document
from flyball.cluster.connection import connect
from flyball.cluster.doctor import ExpectedService, expected_service, gather, walk
from flyball.cluster.installed import Installation
from flyball.cluster.objects import key_of
from flyball.errors import UsageError

_TIMEOUT_S = 15.0


def doctor(
    spec: Path | None = None,
    *,
    manifests: Path | None = None,
    prometheus: str | None = None,
    context: str | None = None,
    kubeconfig: Path | None = None,
    catalog: Path | None = None,
    vllm: Annotated[str | None, Parameter(name="--vllm")] = None,
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
        A file or a folder with the objects instead, for example of `kubectl kustomize` or `helm template`.
    prometheus
        Ask Prometheus at this URL instead of through the API server: http://localhost:9090 of a port-forward.
    context
        The kubeconfig's context.
    kubeconfig
        The kubeconfig file, instead of $KUBECONFIG or ~/.kube/config.
    catalog
        A YAML file with your own `accelerators`, `clouds` and `machines`.
    vllm
        The version to deploy.
    output
        A table, or JSON.

    """
    wanted = wanted_objects(spec, manifests, catalog=catalog, vllm=vllm)
    if wanted is None:
        return 1
    expected = _service(wanted)
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


def _service(wanted: Wanted) -> ExpectedService:
    """Of anyone's manifests too: what their Deployment of engines is called, and where it is."""
    engines = expected_service(wanted.objects, name="", namespace="").engines
    if not engines:
        fix = "name manifests of an engine: a Deployment with limits of nvidia.com/gpu"
        raise UsageError("no Deployment with GPUs among the manifests", fix=fix)
    own = Installation(name=engines[0].name, namespace=key_of(engines[0].object).namespace or "default")
    where = wanted.installation or own
    return expected_service(
        wanted.objects, name=where.name, namespace=where.namespace, adapter_values=wanted.adapter_values
    )
