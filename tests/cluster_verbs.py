"""What the tests of the cluster's verbs run, what that answers, and what it wrote."""

from collections.abc import Callable
from typing import NamedTuple

from fake_apiserver import FakeApiServer


class Answer(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str


Flyball = Callable[..., Answer]
"""Takes a verb's arguments; the kubeconfig is added."""


def kinds_written(server: FakeApiServer) -> list[str]:
    """Of the objects that were applied, in order."""
    return [request.body["kind"] for request in server.writes if request.method == "PATCH"]
