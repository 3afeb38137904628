"""Rules about probes: a start takes minutes, and a busy engine is not a dead one."""

from collections.abc import Iterator

from flyball.lint.engine import Engine
from flyball.lint.lifecycle import probe_budget_s
from flyball.lint.node import Node
from flyball.lint.rule import Hit, InContext, Rule, context_rule, serving_rule

SERVED_PATHS = frozenset({"/health", "/ping", "/version", "/v1/models", "/load", "/metrics"})
"""The paths that a vLLM server answers to a GET without a body."""
SHORT_BUDGET_S = 300.0
"""Cold starts of 60 to 440 s are reported for models that fit one GPU, 11 minutes for larger ones."""
LONG_DELAY_S = 60.0
INNER_LIMIT_S = 600.0
"""VLLM_ENGINE_READY_TIMEOUT_S: how long the API server waits for its engine."""
SHORT_TIMEOUT_S = 5.0
_PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
_POD_DOC = "https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/"


@serving_rule(
    "error",
    finds="an engine without a readinessProbe",
    why="the pod gets requests as soon as its process runs, minutes before vLLM listens: connection refused",
    reference=_POD_DOC,
)
def no_readiness_probe(engine: Engine) -> Iterator[Hit]:
    probe = engine.container.at("readinessProbe")
    if not probe.exists:
        says = "no readinessProbe: the Service sends requests while the model loads"
        yield Hit(at=probe, says=says, fix="add readinessProbe with httpGet /health, periodSeconds 5, timeoutSeconds 5")


@serving_rule(
    "error",
    finds="a livenessProbe without a startupProbe",
    why="the kubelet kills the engine while it loads, compiles and captures graphs, over and over",
    reference=f"{_POD_DOC}; vLLM's Kubernetes page, 'failed startup probe'",
)
def liveness_without_startup(engine: Engine) -> Iterator[Hit]:
    liveness, startup = engine.container.at("livenessProbe"), engine.container.at("startupProbe")
    if not liveness.exists or startup.exists:
        return
    budget = probe_budget_s(liveness)
    if budget >= 2 * SHORT_BUDGET_S:
        says = f"without a startupProbe, the livenessProbe gives a start {budget:g} s and finds a dead engine as late"
        yield Hit(at=liveness, says=says, fix="move the waiting to a startupProbe", severity="warning", evidence=says)
        return
    says = f"the livenessProbe kills the engine {budget:g} s after its start, loaded or not"
    fix = "add startupProbe with httpGet /health, periodSeconds 10, failureThreshold 90"
    yield Hit(at=liveness, says=says, fix=fix, evidence=f"{budget:g} s")


@serving_rule(
    "warning",
    finds="an engine without a startupProbe",
    why="nothing ever ends a start that hangs, and no liveness check can be added without killing slow ones",
    reference=_POD_DOC,
)
def no_startup_probe(engine: Engine) -> Iterator[Hit]:
    probe = engine.container.at("startupProbe")
    if not probe.exists and not engine.container.at("livenessProbe").exists:
        fix = "add startupProbe with httpGet /health and three times the measured start as its budget"
        yield Hit(at=probe, says="no startupProbe", fix=fix)


@serving_rule(
    "warning",
    finds="a startupProbe that allows less than 300 s",
    why="image pull, weights, compilation and graph capture together take minutes; the kubelet starts over each time",
    reference="vllm-project/vllm#20264, #44881; llm-d/llm-d-benchmark#83",
)
def startup_budget_short(engine: Engine) -> Iterator[Hit]:
    probe = engine.container.at("startupProbe")
    budget = probe_budget_s(probe)
    if probe.exists and budget < SHORT_BUDGET_S and not engine.runs_on_cpu:
        says = f"the startupProbe kills the engine after {budget:g} s"
        fix = "raise failureThreshold until the budget is three times the measured cold start"
        at = probe.at("failureThreshold")
        yield Hit(at=at if at.exists else probe, says=says, fix=fix, evidence=f"{budget:g} s")


@serving_rule(
    "warning",
    finds="a readinessProbe that waits a fixed time before it looks",
    why="every pod is useless for that long, loaded or not, while the autoscaler already averages it in",
    reference=_POD_DOC,
)
def readiness_fixed_delay(engine: Engine) -> Iterator[Hit]:
    delay = engine.container.at("readinessProbe", "initialDelaySeconds")
    if (delay.number or 0) >= LONG_DELAY_S:
        says = f"a pod that is ready after 40 s serves nothing until {delay.text} s"
        yield Hit(at=delay, says=says, fix="drop initialDelaySeconds; let a startupProbe do the waiting")


@serving_rule(
    "warning",
    finds="a liveness or readiness probe with a timeout below 5 s",
    why="/health of a saturated vLLM is slow to answer: a busy engine is restarted or taken out, and its load goes to"
    " the others",
    reference="vllm-project/vllm#36451; measured on vLLM 0.32",
)
def probe_timeout_short(engine: Engine) -> Iterator[Hit]:
    for name in ("livenessProbe", "readinessProbe"):
        probe = engine.container.at(name)
        timeout = probe.at("timeoutSeconds")
        seconds = 1.0 if timeout.number is None else timeout.number
        if probe.exists and not probe.at("exec").exists and seconds < SHORT_TIMEOUT_S:
            default = "" if timeout.exists else " (Kubernetes' default)"
            says = f"the {name} counts an answer after {seconds:g} s{default} as a failure"
            at = timeout if timeout.exists else probe
            yield Hit(at=at, says=says, fix="timeoutSeconds: 5 or more", evidence=f"{seconds:g}")


@serving_rule(
    "warning",
    finds="a livenessProbe that restarts after fewer than 3 failures",
    why="a restart costs minutes of start-up and every running stream; a long step must not trigger it",
    reference="vllm-project/vllm#46811",
)
def liveness_threshold_low(engine: Engine) -> Iterator[Hit]:
    threshold = engine.container.at("livenessProbe", "failureThreshold")
    if threshold.number is not None and threshold.number < 3:
        says = f"the engine is killed after {threshold.text} failed probes"
        yield Hit(at=threshold, says=says, fix="failureThreshold: 3 or more")


@serving_rule(
    "error",
    finds="a probe of a path that vLLM does not serve",
    why="the probe gets 404, or 401 where an API key guards the path, and never succeeds",
    reference="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
)
def probe_path(engine: Engine) -> Iterator[Hit]:
    has_key = engine.flag("api_key") is not None or "VLLM_API_KEY" in engine.env
    for name in _PROBES:
        get = engine.container.at(name, "httpGet")
        path = get.at("path")
        if not get.exists or not engine.has_known_port or not _is_engine_port(engine, get.at("port")):
            continue
        if path.text.split("?")[0] not in SERVED_PATHS:
            says = f"the {name} asks for {path.text or '/'}, which vLLM answers with 404"
            yield Hit(at=path, says=says, fix="path: /health")
        elif path.text.startswith("/v1") and has_key and "Authorization" not in _header_names(get):
            says = f"the {name} asks for {path.text}, which needs the API key: 401"
            yield Hit(at=path, says=says, fix="path: /health, which needs none")


def _header_names(get: Node) -> set[str]:
    return {header.at("name").text.title() for header in get.at("httpHeaders").items()}


@serving_rule(
    "error",
    finds="a probe of a port that vLLM does not listen on",
    why="the probe can never succeed",
    reference=_POD_DOC,
)
def probe_port(engine: Engine) -> Iterator[Hit]:
    others = {each.at("name").text for each in engine.container.at("ports").items()}
    for name in _PROBES:
        for action in ("httpGet", "tcpSocket"):
            port = engine.container.at(name, action, "port")
            wrong_name = port.number is None and port.text not in others
            if port.exists and engine.has_known_port and (wrong_name or not _is_engine_port(engine, port)):
                says = f"the {name} asks port {port.text}; vLLM listens on {engine.port}"
                yield Hit(at=port, says=says, fix=f"port: {engine.port}")


def _is_engine_port(engine: Engine, port: Node) -> bool:
    """Whether a number or a name means the engine's port; a port of another process of the pod counts as such too."""
    if port.number is not None:
        extra = {each.at("containerPort").number for each in engine.container.at("ports").items()}
        return port.number == engine.port or (port.number in extra and len(extra) > 1)
    named = [each for each in engine.container.at("ports").items() if each.at("name").text == port.text]
    return not named or any(each.at("containerPort").number == engine.port for each in named)


@serving_rule(
    "info",
    finds="a start that may take longer than vLLM's own limit of 600 s",
    why="VLLM_ENGINE_READY_TIMEOUT_S ends the start from inside, whatever the startupProbe allows",
    reference="vllm/envs.py, VLLM_ENGINE_READY_TIMEOUT_S",
)
def inner_start_limit(engine: Engine) -> Iterator[Hit]:
    probe = engine.container.at("startupProbe")
    if probe.exists and probe_budget_s(probe) > INNER_LIMIT_S and "VLLM_ENGINE_READY_TIMEOUT_S" not in engine.env:
        says = f"the startupProbe allows {probe_budget_s(probe):g} s, the API server waits {INNER_LIMIT_S:g} s"
        fix = f'env VLLM_ENGINE_READY_TIMEOUT_S: "{probe_budget_s(probe):g}"'
        yield Hit(at=probe, says=says, fix=fix, evidence=f"{probe_budget_s(probe):g} s")


@context_rule(
    "info",
    finds="a fleet whose hangs nothing would notice",
    why="/health of a wedged engine stays 200 for hours: it says that the process lives, not that it makes progress",
    reference="vllm-project/vllm#36451, #36960, #39863, #46811",
)
def hangs_unnoticed(each: InContext) -> Iterator[Hit]:
    path = each.engine.container.at("livenessProbe", "httpGet", "path")
    progress = ("iteration_tokens_total", "generation_tokens_total")
    watched = (query for query in each.manifests.queries if query.origin == "alert")
    if path.text == "/health" and not any(name in query.text for query in watched for name in progress):
        says = "the livenessProbe asks /health only, and no alert among these documents watches progress"
        fix = "alert when requests run or wait and vllm:iteration_tokens_total_count stands still for two minutes"
        yield Hit(at=path, says=says, fix=fix)


RULES: tuple[Rule, ...] = (
    no_readiness_probe,
    liveness_without_startup,
    no_startup_probe,
    startup_budget_short,
    readiness_fixed_delay,
    probe_timeout_short,
    liveness_threshold_low,
    probe_path,
    probe_port,
    inner_start_limit,
    hangs_unnoticed,
)
