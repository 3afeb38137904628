"""`flyball apply`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from flyball.cli.change_text import change_lines, summary
from flyball.cli.cluster_objects import Wanted, wanted_objects
from flyball.cli.consent import announce, is_agreed, require_consent
from flyball.cli.waiting_time import patience
from flyball.cluster.api_server import ApiServer
from flyball.cluster.applying import Outcome, apply_in_new_namespaces, carry_out
from flyball.cluster.comparing import Comparison, compare
from flyball.cluster.connection import connect
from flyball.cluster.waiting import Patience
from flyball.errors import OutsideError


def apply(
    spec: Path | None = None,
    *,
    manifests: Path | None = None,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"], negative="")] = False,
    prune: Annotated[bool, Parameter(negative="")] = False,
    skip_missing: Annotated[bool, Parameter(negative="")] = False,
    force_conflicts: Annotated[bool, Parameter(negative="")] = False,
    wait: bool = True,
    timeout: str = "30m",
    context: str | None = None,
    kubeconfig: Path | None = None,
    catalog: Path | None = None,
    vllm: Annotated[str | None, Parameter(name="--vllm")] = None,
) -> int:
    """Bring the cluster to what the spec says, by server-side apply, and wait until it serves.

    Everything is tried as a dry run first. Running it again changes nothing, or goes on where it was stopped.
    Exit code 1 if something is missing, in conflict, or not ready in time.

    Parameters
    ----------
    spec
        The spec file.
    manifests
        A file or a folder with objects instead.
    yes
        Do not ask.
    prune
        Delete what earlier versions of the spec created and this one has no more; never the weights.
    skip_missing
        Leave out objects whose kind the cluster does not know (KEDA, Prometheus Operator, Karpenter not installed).
    force_conflicts
        Take fields that other managers own with another value; never the replica count from an autoscaler.
    wait
        Wait until Jobs are complete, Deployments ready and scalers working.
    timeout
        How long to wait in all.
    context
        The kubeconfig's context.
    kubeconfig
        The kubeconfig file, instead of $KUBECONFIG or ~/.kube/config.
    catalog
        A YAML file with your own `accelerators`, `clouds` and `machines`.
    vllm
        The version to deploy.

    """
    require_consent(yes=yes, verb="applying")
    patient = patience(wait=wait, timeout=timeout)
    wish = _Wish(yes=yes, prune=prune, skip_missing=skip_missing, force=force_conflicts, patience=patient)
    wanted = wanted_objects(spec, manifests, catalog=catalog, vllm=vllm)
    if wanted is None:
        return 1
    with connect(context=context, kubeconfig=kubeconfig) as api:
        return _bring_about(Console(stderr=True, highlight=False, markup=False, soft_wrap=True), api, wanted, wish)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """The options that say how to apply."""

    yes: bool
    prune: bool
    skip_missing: bool
    force: bool
    patience: Patience | None


def _bring_about(console: Console, api: ApiServer, wanted: Wanted, wish: _Wish) -> int:
    """Show, ask, apply, wait; the exit code."""
    home = wanted.installation
    announce(console, api.target, home.namespace if home else api.target.namespace)
    comparison = compare(api, wanted.objects, installation=home, prune=wish.prune)
    for line in change_lines(comparison):
        console.print(line)
    console.print(summary(comparison))
    for each in comparison.missing:
        console.print(f"{each.what}\n  {each.fix}")
    if not _is_possible(console, comparison, wish):
        return 1
    changed = sum(change.action != "unchanged" for change in comparison.changes)
    if changed and not is_agreed(console, f"apply this to {api.target.context}?", yes=wish.yes):
        console.print("nothing changed")
        return 1
    checked = apply_in_new_namespaces(
        api, wanted.objects, comparison, installation=home, prune=wish.prune, tell=console.print
    )
    if checked is not comparison and not _is_possible(console, checked, wish):
        return 1
    outcome = carry_out(api, checked, force=wish.force, patience=wish.patience, tell=console.print)
    return _report(console, outcome, changed, waited=wish.patience is not None)


def _is_possible(console: Console, comparison: Comparison, wish: _Wish) -> bool:
    """Say what forbids it. Raises OutsideError for what the API server refuses."""
    if comparison.refused:
        for error in comparison.refused[1:]:
            console.print(f"{error.what}\n  {error.fix}")
        first = comparison.refused[0]
        raise OutsideError(f"{first.what}; nothing was changed", fix=first.fix)
    for rival in comparison.rivals:
        console.print(f"{rival.what}\n  {rival.fix}")
    if comparison.rivals:
        console.print("nothing was changed")
        return False
    if comparison.missing and not wish.skip_missing:
        console.print("nothing was changed; --skip-missing leaves these objects out")
        return False
    if comparison.conflicted and not wish.force:
        console.print("nothing was changed: other managers own these fields; --force-conflicts takes them")
        return False
    return True


def _report(console: Console, outcome: Outcome, changed: int, *, waited: bool) -> int:
    for progress in outcome.unready:
        console.print(f"{progress.key} is not ready: {progress.text}")
    if outcome.left:
        console.print(f"not applied yet: {', '.join(map(str, outcome.left))}; apply again when the cause is mended")
    if outcome.unready:
        return 1
    if not changed:
        console.print("no change" + (": all is ready" if waited else ""))
    else:
        console.print("applied" + (": all is ready" if waited else ", without waiting"))
    return 0
