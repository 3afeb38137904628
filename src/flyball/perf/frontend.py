"""`Frontend`: the API server's way in. Requests that come together delay each other."""

from collections import deque
from math import inf
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Frontend(Generic[Item]):
    """A processor shared evenly by the requests in it, `request_s` of work each.

    vLLM's API server is one event loop: HTTP, templates and tokenisation of concurrent requests interleave, so a burst
    reaches the engine late and together, not one after the other.
    """

    def __init__(self, request_s: float) -> None:
        self.request_s = request_s
        self._share = 1.0
        """Of the process, for the requests together."""
        self._inside: deque[tuple[float, Item]] = deque()
        self._work_s = 0.0
        """Work done on each request that has been inside all along."""
        self._now_s = 0.0

    def submit(self, item: Item, now_s: float) -> None:
        self._run(now_s)
        self._inside.append((self._work_s + self.request_s, item))

    def slow(self, load: float, now_s: float) -> None:
        """From now on tokens on their way out take this share of the process, below 1."""
        if self._inside and 1 - load != self._share:
            self._run(max(now_s, self._now_s))
        self._share = 1 - load

    @property
    def next_s(self) -> float:
        """When the next request comes out, if none goes in before; infinity if there is none."""
        if not self._inside:
            return inf
        return self._now_s + max(0.0, self._inside[0][0] - self._work_s) * len(self._inside) / self._share

    def pop(self) -> Item:
        """The next request, at `next_s`."""
        self._run(self.next_s)
        return self._inside.popleft()[1]

    def _run(self, now_s: float) -> None:
        if self._inside:
            self._work_s += (now_s - self._now_s) * self._share / len(self._inside)
        self._now_s = now_s
