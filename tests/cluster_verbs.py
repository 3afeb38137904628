"""The type of what runs a verb in the tests of the cluster's verbs, and of what it answers."""

from collections.abc import Callable
from typing import NamedTuple


class Answer(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str


Flyball = Callable[..., Answer]
"""Takes a verb's arguments; the kubeconfig is added."""
