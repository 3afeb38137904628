"""`flyball status`: a fleet on this machine, or a service in a cluster."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console

from flyball.cli.local_status import print_local
from flyball.engine import Home
from flyball.local.background import fleets_folder, the_fleet

_SPEC_SUFFIXES = (".yaml", ".yml", ".json")


def status(
    subject: str | None = None,
    *,
    manifests: Path | None = None,
    context: str | None = None,
    kubeconfig: Path | None = None,
    output: Annotated[Literal["table", "json"], Parameter(name=["--output", "-o"])] = "table",
) -> int:
    """Show what runs: of SPEC, the service in the cluster; without one, the fleet in the background of this machine.

    In a cluster: pods with node, GPUs, restarts and the reason if they are not ready; the scaling chain with signal,
    target and last decisions. Exit code 1 if it is not healthy there.

    Parameters
    ----------
    subject
        A spec file (a name that ends in .yaml, .yml or .json, or has a / in it), or the name of a fleet on this
        machine; not needed for the only one.
    manifests
        A file or a folder of rendered manifests instead of a spec.
    context
        The kubeconfig's context.
    kubeconfig
        The kubeconfig file, instead of $KUBECONFIG or ~/.kube/config.
    output
        A table, or JSON.

    """
    if manifests is not None or (subject is not None and _is_spec(subject)):
        from flyball.cli.cluster_status import cluster_status

        spec = None if subject is None else Path(subject)
        return cluster_status(spec, manifests, context=context, kubeconfig=kubeconfig, output=output)
    state = the_fleet(fleets_folder(Home.of_user()), subject)
    if output == "json":
        print(json.dumps(asdict(state), indent=2))
    else:
        print_local(Console(), state)
    return 0


def _is_spec(subject: str) -> bool:
    return subject.endswith(_SPEC_SUFFIXES) or "/" in subject
