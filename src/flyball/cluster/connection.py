"""From the command line's --context and --kubeconfig to a connection."""

import os
from pathlib import Path

from flyball.cluster.api_server import ApiServer
from flyball.cluster.kubeconfig import Target, find_target


def choose_cluster(*, context: str | None = None, kubeconfig: Path | None = None) -> Target:
    """The cluster that this process's environment means. Raises UsageError where it means none."""
    return find_target(context=context, kubeconfig=kubeconfig, environment=os.environ, home=Path.home())


def connect(*, context: str | None = None, kubeconfig: Path | None = None, timeout_s: float = 30.0) -> ApiServer:
    """A connection to that cluster; nothing is sent yet."""
    return ApiServer(choose_cluster(context=context, kubeconfig=kubeconfig), timeout_s=timeout_s)
