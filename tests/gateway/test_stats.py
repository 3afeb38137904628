import re
from pathlib import Path

import pytest

from flyball.gateway import GatewayStats
from flyball.gateway.stats import STATS_FILTER

TEXT = (Path(__file__).parent / "data" / "stats.txt").read_text()


def test_a_real_admin_answer_is_read() -> None:
    """The recorded state: three requests running of at most three, one refused."""
    stats = GatewayStats.parse(TEXT)

    assert (stats.upstream_rq_active, stats.upstream_rq_pending_active, stats.in_system) == (3, 0, 3)
    assert (stats.downstream_rq_active, stats.downstream_rq_total, stats.downstream_rq_5xx) == (3, 4, 1)
    assert (stats.overflows, stats.retries) == (1, 0)
    assert (stats.membership_total, stats.membership_healthy) == (1, 1)


def test_what_is_not_there_is_zero() -> None:
    """Envoy leaves out counters that nothing has touched."""
    assert GatewayStats.parse("") == GatewayStats()


@pytest.mark.parametrize(
    "line",
    [
        "cluster.replicas.upstream_cx_connect_ms: P0(nan,1) P25(nan,1.02)",
        "cluster.replicas.upstream_rq_per_cx: No recorded values",
        "http.admin.downstream_rq_active: 7",
        "cluster.admin.upstream_rq_active: 7",
        "upstream_rq_active: 7",
        "cluster.replicas.upstream_rq_active",
        "",
    ],
)
def test_other_lines_are_passed_over(line: str) -> None:
    """Histograms, other clusters and other listeners do not count."""
    assert GatewayStats.parse(line) == GatewayStats()


def test_the_filter_keeps_what_is_needed() -> None:
    """Of a whole admin answer the filter drops the bulk and nothing that is read."""
    kept = [line for line in TEXT.splitlines() if re.search(STATS_FILTER, line.partition(":")[0])]

    assert GatewayStats.parse("\n".join(kept)) == GatewayStats.parse(TEXT)
    assert len(kept) < len(TEXT.splitlines()) / 1.5
