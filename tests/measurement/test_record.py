from typing import Any

import pytest

from flyball.measurement import RequestRecord


def _record(**given: Any) -> RequestRecord:
    values: dict[str, Any] = {
        "index": 0,
        "intended_s": 10.0,
        "sent_s": 10.5,
        "headers_s": 11.0,
        "first_token_s": 12.0,
        "last_token_s": 15.0,
        "end_s": 15.25,
        "output_tokens": 7,
        "requested_output_tokens": 7,
        "outcome": "ok",
    }
    return RequestRecord(**(values | given))


def test_headline_latencies_count_from_the_intended_arrival() -> None:
    """A request sent half a second late has waited that half second; the send-based variants leave it out."""
    record = _record()
    assert record.ttft_s == 2.0
    assert record.e2e_s == 5.0
    assert record.schedule_lag_s == 0.5
    assert record.ttft_from_send_s == 1.5
    assert record.e2e_from_send_s == 4.5


def test_tpot_leaves_the_first_token_out() -> None:
    """Seven tokens have six steps after the first."""
    assert _record().tpot_s == 0.5


@pytest.mark.parametrize("tokens", [None, 0, 1])
def test_tpot_needs_two_tokens(tokens: int | None) -> None:
    """One token has no time after the first, and an unknown count none at all."""
    assert _record(output_tokens=tokens).tpot_s is None


def test_what_did_not_happen_has_no_latency() -> None:
    """A request that was never sent has neither lag nor latencies."""
    record = _record(sent_s=None, headers_s=None, first_token_s=None, last_token_s=None, outcome="cancelled")
    assert record.ttft_s is None
    assert record.ttft_from_send_s is None
    assert record.tpot_s is None
    assert record.e2e_s is None
    assert record.e2e_from_send_s is None
    assert record.schedule_lag_s is None


@pytest.mark.parametrize(
    ("outcome", "failed"),
    [("ok", False), ("error", True), ("cut", True), ("rejected", True), ("timeout", True), ("cancelled", False)],
)
def test_only_the_service_can_fail(outcome: str, failed: bool) -> None:
    """All ends but a good one and the client's own are failures; only a good end has an end-to-end latency."""
    record = _record(outcome=outcome)
    assert record.failed is failed
    assert (record.e2e_s is None) == (outcome != "ok")
    assert record.ttft_s == 2.0
