"""The benchmark program still runs; its figures are for people."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "gateway_overhead.py"


@pytest.mark.envoy
def test_the_benchmark_reports_both_ways() -> None:
    """It measures the same number of first tokens and of gaps directly and through the gateway."""
    done = subprocess.run(
        [sys.executable, BENCHMARK, "--requests", "4", "--tokens", "5"], capture_output=True, text=True, check=True
    )
    samples = re.findall(r"^(TTFT|ITL) +(direct|gateway) .* (\d+)$", done.stdout, re.M)

    assert samples == [
        ("TTFT", "direct", "4"),
        ("TTFT", "gateway", "4"),
        ("ITL", "direct", "16"),
        ("ITL", "gateway", "16"),
    ]
    assert "TTFT added at the median" in done.stdout
