"""The three probes of a replica, and the script that tells a wedged engine from a busy one."""

from typing import Any

from flyball.manifests.design import ENGINE_PORT, ServiceDesign
from flyball.manifests.manifest import Because, Manifest
from flyball.manifests.start_up import PROBE_PERIOD_S, StartUp

PROBE_FOLDER = "/probe"
STALLED_S = 180
"""Something to do, and not one engine step for this long, is no load: a step takes less than a second."""

PROGRESS = f"""\
# Exits 1 if the engine made no step for {STALLED_S} s though it had something to do. /health knows only that it lives.
# Where it had nothing to do, it gets a request of one token: the metrics of an engine that hangs say that it is idle.
# An engine whose metrics cannot be read is left to the readiness probe.
import json, os, pathlib, re, sys, time, urllib.request

STATE, STALLED_S, URL = pathlib.Path("/tmp/progress.json"), {STALLED_S}, "http://127.0.0.1:{ENGINE_PORT}"
STEPS = "vllm:iteration_tokens_total_count"

def ask(text):
    model = re.search('model_name="([^"]*)"', text)
    body = {{"model": model[1] if model else "", "prompt": "a", "max_tokens": 1}}
    headers = {{"Content-Type": "application/json", "Authorization": "Bearer " + os.environ.get("VLLM_API_KEY", "")}}
    request = urllib.request.Request(URL + "/v1/completions", json.dumps(body).encode(), headers)
    try:
        urllib.request.urlopen(request, timeout=10).read()
    except OSError as error:
        print(f"no token: {{error}}")

try:
    text = urllib.request.urlopen(URL + "/metrics", timeout=10).read().decode()
except OSError as error:
    sys.exit(print(f"metrics unread: {{error}}"))
lines = [line for line in text.splitlines() if line.split("{{")[0].split(" ")[0] == STEPS]
now, steps = time.monotonic(), sum(float(line.rsplit(" ", 1)[1]) for line in lines)
try:
    before = json.loads(STATE.read_text())
except (OSError, ValueError):
    before = None
if before is None or steps != before["steps"] or now < before["since"]:
    before = {{"steps": steps, "since": now}}
else:
    ask(text)
STATE.write_text(json.dumps(before))
if now - before["since"] > STALLED_S:
    sys.exit(f"no engine step for {{now - before['since']:.0f}} s")
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
        f"restarts a replica that made no step for {STALLED_S} s though it had requests, or this probe's own where"
        " there are none. /health of such an engine answers 200 for hours; a dead one ends the container by itself"
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
