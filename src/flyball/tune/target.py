"""`Target`: a server that can be started with other flags."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from flyball.engine import StartFailure
from flyball.tune.trial import Flags


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A server that answers /health."""

    url: str
    model: str
    """The name to ask for."""
    seconds: float
    """From the start to ready."""
    vllm: str | None
    """The version; None if it does not tell."""


class Target(Protocol):
    """One server at a time. The search calls `start` and `stop` in turns, and `stop` after an interruption too."""

    async def start(self, flags: Flags, *, log: Path) -> Started | StartFailure:
        """Start with these flags on top of those that stay as they are; what the server prints goes to `log`.

        A failure means that nothing is left running. Raises OutsideError if starting itself is impossible.
        """
        ...

    async def stop(self) -> None:
        """End what `start` started; nothing if it has ended."""
        ...
