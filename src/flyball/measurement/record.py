"""`RequestRecord`: what happened to one request, and the latencies that follow from it."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ok", "error", "cut", "rejected", "timeout", "cancelled"]
"""How a request ended.

ok         the answer came to its end
error      no answer: refused or reset before a token, or a status that is neither 200 nor a rejection
cut        the answer had begun and broke off, or an error stood in its stream
rejected   429 or 503: the server or the gateway declined for lack of room
timeout    the client's limit passed
cancelled  the client stopped first; says nothing about the server
"""

FAILURES: tuple[Outcome, ...] = ("error", "cut", "rejected", "timeout")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request. Times are seconds from the run's start on one monotonic clock; None is "did not happen".

    Headline latencies count from the intended arrival: a request that a busy client or a stalled server delays has
    waited, whoever is to blame. The `_from_send` ones count from the send, as most load generators do.
    """

    index: int
    intended_s: float
    """When it should have been sent; in a closed loop, when its client was free."""
    sent_s: float | None
    headers_s: float | None = None
    first_token_s: float | None = None
    last_token_s: float | None = None
    end_s: float
    """When its outcome was known."""
    chunk_times_s: tuple[float, ...] = ()
    """Arrival of every chunk that carried output; a chunk may hold several tokens or part of a character."""
    prompt_tokens: int | None = None
    """As the server counted them in `usage`, chat template included."""
    output_tokens: int | None = None
    """As the server counted them in `usage`."""
    requested_output_tokens: int
    outcome: Outcome
    error: str = ""
    http_status: int | None = None
    replica: str | None = None

    @property
    def ttft_s(self) -> float | None:
        """Time to first token."""
        return None if self.first_token_s is None else self.first_token_s - self.intended_s

    @property
    def ttft_from_send_s(self) -> float | None:
        if self.first_token_s is None or self.sent_s is None:
            return None
        return self.first_token_s - self.sent_s

    @property
    def tpot_s(self) -> float | None:
        """Time per output token after the first, (last - first)/(tokens - 1); undefined for fewer than two tokens."""
        if self.first_token_s is None or self.last_token_s is None or (self.output_tokens or 0) < 2:
            return None
        assert self.output_tokens is not None
        return (self.last_token_s - self.first_token_s) / (self.output_tokens - 1)

    @property
    def e2e_s(self) -> float | None:
        """To the last token; only of an answer that came to its end."""
        if self.outcome != "ok" or self.last_token_s is None:
            return None
        return self.last_token_s - self.intended_s

    @property
    def e2e_from_send_s(self) -> float | None:
        if self.outcome != "ok" or self.last_token_s is None or self.sent_s is None:
            return None
        return self.last_token_s - self.sent_s

    @property
    def schedule_lag_s(self) -> float | None:
        """How late the client was."""
        return None if self.sent_s is None else self.sent_s - self.intended_s

    @property
    def failed(self) -> bool:
        """Whether the service failed it; a request that the client cancelled did not fail."""
        return self.outcome in FAILURES
