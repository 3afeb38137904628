"""`flyball delete`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from flyball.cli.cluster_objects import the_installation
from flyball.cli.consent import announce, is_agreed, require_consent
from flyball.cli.waiting_time import patience
from flyball.cluster.connection import connect
from flyball.cluster.deleting import Deletion, carry_out_deletion, plan_deletion


def delete(
    spec: Path | None = None,
    *,
    manifests: Path | None = None,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative="")] = False,
    weights: Annotated[bool, Parameter(negative="")] = False,
    namespace: Annotated[bool, Parameter(negative="")] = False,
    wait: bool = True,
    timeout: str = "15m",
    context: str | None = None,
    kubeconfig: Path | None = None,
) -> int:
    """Delete what flyball applied for a spec, whatever version of it, and wait until its pods have drained.

    The claim with the weights stays. The namespace goes only if flyball created it and nothing is left in it.
    Running it again is no error. Exit code 1 if something is still there after the timeout.

    Parameters
    ----------
    spec
        The spec file: only its name and namespace matter.
    manifests
        A file or a folder of rendered manifests instead.
    yes
        Do not ask.
    weights
        Delete the claim with the weights too: they will be downloaded again.
    namespace
        Delete the namespace too, with everything that is in it.
    wait
        Wait until it is gone.
    timeout
        How long to wait.
    context
        The kubeconfig's context.
    kubeconfig
        The kubeconfig file, instead of $KUBECONFIG or ~/.kube/config.

    """
    require_consent(yes=yes, verb="deleting")
    patient = patience(wait=wait, timeout=timeout)
    installation = the_installation(spec, manifests)
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    with connect(context=context, kubeconfig=kubeconfig) as api:
        announce(console, api.target, installation.namespace)
        deletion = plan_deletion(api, installation, weights=weights, namespace=namespace)
        _show(console, deletion)
        if not deletion.going and deletion.namespace is None:
            console.print(f"nothing of {installation.name} to delete")
            return 0
        if not is_agreed(console, f"delete this from {api.target.context}?", yes=yes):
            console.print("nothing deleted")
            return 1
        left = carry_out_deletion(api, installation, deletion, patience=patient, tell=console.print)
    for line in left:
        console.print(line)
    return 1 if left else 0


def _show(console: Console, deletion: Deletion) -> None:
    for key, _ in deletion.going:
        console.print(f"- {key}")
    if deletion.namespace is not None:
        what = "with everything in it" if deletion.takes_all else "if nothing is left in it"
        console.print(f"- {deletion.namespace}, {what}")
    for key, why in deletion.kept:
        console.print(f"  {key} is kept: {why}")
    for resource in deletion.unseen:
        console.print(f"  {resource}: no permission to list them; what is there stays")
