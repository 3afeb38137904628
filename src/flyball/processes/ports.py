"""TCP ports on the loopback interface: which are free, and who has one that is not."""

import contextlib
import random
import socket

import psutil

from flyball.errors import UsageError


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could bind `port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A free port below those that Linux gives to clients (ip_local_port_range begins at 32768).

    A server may bind it many seconds from now; a port of the system's choice could be some connection's by then.
    """
    while not is_free(port := random.SystemRandom().randrange(20_000, 32_000)):
        pass
    return port


def require_free(port: int, *, key: str) -> None:
    """UsageError, with the holder's name where it can be seen, when `port` is taken. `key` is the spec's."""
    if not is_free(port):
        holder = _holder(port)
        raise UsageError(
            f"port {port} ({key}) is in use{f' by {holder}' if holder else ''}",
            fix=f"stop it, or choose another port with {key} in the spec or --port",
        )


def _holder(port: int) -> str:
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
                if connection.pid is None:
                    return ""
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""
