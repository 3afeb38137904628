"""How a replica leaves: the three durations that must fit each other, the longest stream and the spot notice."""

import math
from dataclasses import dataclass

from flyball.manifests.design import Capacity, ServiceDesign

DNS_S = 35
"""For every gateway to forget a replica that left the headless Service: CoreDNS answers from its cache for up to 30 s,
Envoy asks every 2 s. Until then requests still arrive."""
LEAST_PRE_STOP_S, SHORTEST_PRE_STOP_S = 10, 5
"""Where a spot notice is short. A request that arrives after SIGTERM gets HTTP 500 before a byte of an answer, and the
gateway sends it to another replica."""
TEARDOWN_S, LEAST_TEARDOWN_S = 20, 15
"""vLLM from the last answer to its exit, 10 s measured, and some slack. Not more: when --shutdown-timeout passes with
work left, its streams hang without an end until SIGKILL frees the clients (measured on 0.32)."""


ROOM_S = 30
"""The shortest notice that holds a drain with its teardown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """In seconds; `grace_s` holds the other two and the teardown."""

    pre_stop_s: int
    shutdown_timeout_s: int
    teardown_s: int
    longest_stream_s: int
    notice_s: float | None

    @property
    def grace_s(self) -> int:
        return self.pre_stop_s + self.shutdown_timeout_s + self.teardown_s

    @property
    def cuts_streams(self) -> bool:
        """Whether the longest stream is cut when a spot machine goes."""
        return self.shutdown_timeout_s < self.longest_stream_s

    @property
    def outlives_notice(self) -> bool:
        """Whether the machine is gone before the grace period ends."""
        return self.notice_s is not None and self.grace_s > self.notice_s


def drain(design: ServiceDesign, capacity: Capacity) -> Drain:
    """Of a replica on that kind of machine.

    A spot notice shortens first the wait for DNS, because the gateway's retries cover it, then the streams' time. Where
    it is shorter than `ROOM_S`, it is all for the streams: the teardown may be cut, it serves nobody.
    """
    stream_s = math.ceil(float(design.longest_stream_s.value))
    notice_s = design.spot_notice_s if capacity == "spot" else None
    pre_stop_s, shutdown_s, teardown_s = DNS_S, stream_s, TEARDOWN_S
    if notice_s is not None and DNS_S + stream_s + TEARDOWN_S > notice_s:
        teardown_s = LEAST_TEARDOWN_S
        room_s = math.floor(notice_s) - (teardown_s if notice_s >= ROOM_S else 1)
        pre_stop_s = max(min(LEAST_PRE_STOP_S, max(SHORTEST_PRE_STOP_S, room_s // 4)), min(DNS_S, room_s - stream_s))
        shutdown_s = room_s - pre_stop_s
    return Drain(
        pre_stop_s=pre_stop_s,
        shutdown_timeout_s=shutdown_s,
        teardown_s=teardown_s,
        longest_stream_s=stream_s,
        notice_s=notice_s,
    )
