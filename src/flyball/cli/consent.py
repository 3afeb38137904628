"""Shows which cluster is meant, and asks before it is changed."""

import sys

from rich.console import Console

from flyball.cluster.kubeconfig import Target
from flyball.errors import UsageError


def announce(console: Console, target: Target, namespace: str) -> None:
    """The cluster, before anything else happens."""
    console.print(f"{target}, namespace {namespace}", soft_wrap=True, highlight=False, markup=False)


def require_consent(*, yes: bool, verb: str) -> None:
    """Refuse early where nobody could be asked. Raises UsageError."""
    if not yes and not sys.stdin.isatty():
        raise UsageError(
            f"nobody to ask before {verb}: standard input is no terminal", fix="add --yes to go on unasked"
        )


def is_agreed(console: Console, question: str, *, yes: bool) -> bool:
    """Whether the user says yes; anything else is no."""
    if yes:
        return True
    console.print(f"{question} [y/N] ", end="", highlight=False, markup=False)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
