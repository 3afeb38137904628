"""`flyball diff`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console

from flyball.cli.change_text import change_lines, document, summary
from flyball.cli.cluster_objects import wanted_objects
from flyball.cli.consent import announce
from flyball.cluster.comparing import compare
from flyball.cluster.connection import connect


def diff(
    spec: Path | None = None,
    *,
    manifests: Path | None = None,
    prune: Annotated[bool, Parameter(negative="")] = False,
    context: str | None = None,
    kubeconfig: Path | None = None,
    catalog: Path | None = None,
    vllm: Annotated[str | None, Parameter(name="--vllm")] = None,
    output: Annotated[Literal["text", "json"], Parameter(name=["--output", "-o"])] = "text",
) -> int:
    """Show what `flyball apply` would change in the cluster: only fields that flyball owns or would own.

    Every object is tried as a dry run; nothing changes. Exit code 1 if there are differences.

    Parameters
    ----------
    spec
        The spec file.
    manifests
        A file or a folder with objects instead.
    prune
        Count what earlier versions of the spec created, and this one has no more, as to be deleted.
    context
        The kubeconfig's context.
    kubeconfig
        The kubeconfig file, instead of $KUBECONFIG or ~/.kube/config.
    catalog
        A YAML file with your own `accelerators`, `clouds` and `machines`.
    vllm
        The version to deploy.
    output
        text: + new, ~ changed, = adopted, ! replaced, - deleted, with old and new values; or json.

    """
    wanted = wanted_objects(spec, manifests, catalog=catalog, vllm=vllm)
    if wanted is None:
        return 1
    console = Console(stderr=True)
    with connect(context=context, kubeconfig=kubeconfig) as api:
        home = wanted.installation.namespace if wanted.installation else api.target.namespace
        announce(console, api.target, home)
        comparison = compare(api, wanted.objects, installation=wanted.installation, prune=prune)
    if output == "json":
        print(json.dumps(document(comparison), indent=2))
    else:
        for line in change_lines(comparison):
            print(line)
    for each in comparison.missing:
        print(f"{each.what}\n  {each.fix}", file=sys.stderr)
    for rival in comparison.rivals:
        print(f"{rival.what}\n  {rival.fix}", file=sys.stderr)
    for error in comparison.refused:
        print(f"{error.what}\n  {error.fix}", file=sys.stderr)
    print(summary(comparison), file=sys.stderr)
    return 1 if comparison.differs else 0
