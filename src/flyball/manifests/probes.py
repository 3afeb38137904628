"""The three probes of a replica, and the script that tells a wedged engine from a busy one."""

from typing import Any

from flyball.manifests.design import ENGINE_PORT, ServiceDesign
from flyball.manifests.manifest import Because, Manifest
from flyball.manifests.start_up import PROBE_PERIOD_S, StartUp

PROBE_FOLDER = "/probe"
STALLED_S = 180
"""Requests, and not one engine step for this long, is no load: a step takes less than a second."""

PROGRESS = f"""\
# Exits 1 if the engine has had requests and has made no step for {STALLED_S} s. /health only knows that it lives.
# An engine whose metrics cannot be read is left to the readiness probe.
import json, pathlib, sys, time, urllib.request

STATE, STALLED_S = pathlib.Path("/tmp/progress.json"), {STALLED_S}
STEPS = "vllm:iteration_tokens_total_count"
LOAD = ("vllm:num_requests_running", "vllm:num_requests_waiting")

def total(text, *names):
    lines = (line for line in text.splitlines() if line.split("{{")[0].split(" ")[0] in names)
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

try:
    text = urllib.request.urlopen("http://127.0.0.1:{ENGINE_PORT}/metrics", timeout=20).read().decode()
except OSError as error:
    sys.exit(print(f"metrics unread: {{error}}"))
now, steps = time.monotonic(), total(text, STEPS)
try:
    before = json.loads(STATE.read_text())
except (OSError, ValueError):
    before = None
if before is None or steps != before["steps"] or not total(text, *LOAD) or now < before["since"]:
    before = {{"steps": steps, "since": now}}
STATE.write_text(json.dumps(before))
if now - before["since"] > STALLED_S:
    sys.exit(f"requests, but no engine step for {{now - before['since']:.0f}} s")
"""


def probes(design: ServiceDesign, times: StartUp) -> dict[str, Any]:
    """startup, readiness and liveness."""
    health = {"path": "/health", "port": "http"}
    return {
        "startupProbe": {
            "httpGet": health,
            "periodSeconds": PROBE_PERIOD_S,
            "timeoutSeconds": 5,
            "failureThreshold": Because(
                times.probe_failures,
                f"{times.budget_s} s: three times the expected start, never less than vLLM's own limit."
                f" {design.start_s.reason}",
            ),
        },
        "readinessProbe": Because(
            {"httpGet": health, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3},
            "/health is slow while the server parses many large requests; one late answer is no reason to leave",
        ),
        "livenessProbe": _liveness(design),
    }


def _liveness(design: ServiceDesign) -> Any:
    if design.kubernetes.liveness == "health":
        probe = {
            "httpGet": {"path": "/health", "port": "http"},
            "periodSeconds": 10,
            "timeoutSeconds": 10,
            "failureThreshold": 6,
        }
        return Because(probe, "finds a dead engine process only: an engine that hangs keeps answering 200")
    probe = {
        "exec": {"command": ["python3", f"{PROBE_FOLDER}/progress.py"]},
        "periodSeconds": 30,
        "timeoutSeconds": 25,
        "failureThreshold": 3,
    }
    reason = (
        f"restarts a replica that has had requests and made no step for {STALLED_S} s. /health answers 200 for hours in"
        " such an engine; a dead engine process ends the container by itself"
    )
    return Because(probe, reason)


def probe_config(design: ServiceDesign) -> Manifest:
    """The script, for the liveness probe."""
    return Manifest(
        body={
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": design.metadata(f"{design.engine_name}-probe", "engine"),
            "data": {"progress.py": PROGRESS},
        },
        file="engine.yaml",
    )
