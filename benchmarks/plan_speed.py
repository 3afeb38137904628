"""How long `flyball plan` takes for every accelerator of the catalog, from the shell's prompt to the answer.

python benchmarks/plan_speed.py [RUNS]
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPEC = """\
model: {id: meta-llama/Llama-3.1-8B-Instruct}
slo: {ttft: {p95: 200ms}, tpot: {p95: 50ms}}
workload: {arrivals: {poisson: 24}, peak: 60}
hardware: {cloud: none}
"""


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "spec.yaml"
        spec.write_text(SPEC)
        took = sorted(_seconds(spec) for _ in range(runs))
    print(f"{runs} runs: least {took[0]:.2f} s, median {took[len(took) // 2]:.2f} s, most {took[-1]:.2f} s")


def _seconds(spec: Path) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "flyball", "plan", str(spec), "-o", "json"], check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
