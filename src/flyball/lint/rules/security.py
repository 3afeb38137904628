"""Rules about what an attacker gets: code, keys, and a way in."""

import re
from collections.abc import Iterator

from flyball.lint.engine import Engine
from flyball.lint.finding import Severity
from flyball.lint.node import Node
from flyball.lint.pods import same_namespace, selects
from flyball.lint.rule import Hit, InContext, Rule, context_rule, engine_rule, serving_rule

_SECURITY_DOC = "https://docs.vllm.ai/en/latest/usage/security.html"
_POD_SECURITY = "https://kubernetes.io/docs/concepts/security/pod-security-standards/"
_SECRET_NAME = re.compile(r"(TOKEN|SECRET|PASSWORD|API_KEY|ACCESS_KEY)$")
_PLACEHOLDER = re.compile(r"^$|^\$\(|^<.*>$|^(none|null|empty|changeme|unused|dummy|x+)$", re.IGNORECASE)
_HUB_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")


@engine_rule(
    "error",
    finds="--trust-remote-code",
    why="vLLM then runs Python from the model's repository, as whoever can push to it wishes",
    reference="CVE-2026-27893; CVE-2026-22807; PYSEC-2026-2297",
)
def trust_remote_code(engine: Engine) -> Iterator[Hit]:
    flag = engine.flag("trust_remote_code")
    if flag and flag.is_on:
        pinned = engine.flag("revision") is not None and engine.flag("code_revision") is not None
        says = "--trust-remote-code" if pinned else "--trust-remote-code without --revision and --code-revision"
        fix = (
            "remove it: Llama, Qwen, Mistral and Gemma need none; or pin both revisions, read the code and ignore this"
        )
        yield Hit(at=flag.node, says=says, fix=fix, evidence=flag.written)


@engine_rule(
    "error",
    finds="the API key among the arguments",
    why="the key stands in the manifest, in the API server and in every process list of the pod",
    reference=_SECURITY_DOC,
)
def api_key_in_args(engine: Engine) -> Iterator[Hit]:
    flag = engine.flag("api_key")
    if flag is None:
        return
    from_variable = not flag.is_known
    says = "the process list of the pod shows the key" if from_variable else "--api-key is written in the manifest"
    fix = "env VLLM_API_KEY with valueFrom.secretKeyRef"
    severity: Severity = "warning" if from_variable else "error"
    yield Hit(at=flag.node, says=says, fix=fix, evidence=flag.option, severity=severity)  # the key itself is not shown


@engine_rule(
    "error",
    finds="a secret written as the value of an environment variable",
    why="whoever may read the manifest or the pod has it, and it stays in the repository's history",
    reference="https://kubernetes.io/docs/concepts/configuration/secret/",
)
def secret_in_env(engine: Engine) -> Iterator[Hit]:
    for name, entry in engine.env.items():
        value = entry.at("value")
        if _SECRET_NAME.search(name) and value.exists and not _PLACEHOLDER.search(value.text):
            says = f"{name} is written in the manifest"
            yield Hit(
                at=value, says=says, fix="valueFrom.secretKeyRef", evidence=f"{name}: ({len(value.text)} characters)"
            )


@serving_rule(
    "info",
    finds="a hub token in pods that serve from local weights",
    why="a server that downloads nothing needs no token; whoever gets into it gets the token",
    reference=_SECURITY_DOC,
)
def unneeded_hub_token(engine: Engine) -> Iterator[Hit]:
    offline = engine.env.get("HF_HUB_OFFLINE")
    model = engine.model
    is_local = (offline is not None and offline.at("value").text == "1") or (model and model.text.startswith("/"))
    for name in _HUB_TOKENS if is_local else ():
        if name in engine.env:
            yield Hit(
                at=engine.env[name], says=f"{name} in a pod that downloads nothing", fix="remove it", evidence=name
            )


@context_rule(
    "error",
    finds="a Service that opens the engine to other networks",
    why="--api-key guards /v1 only: /invocations, /tokenize, /pause, /metrics and more answer without it",
    reference=f"{_SECURITY_DOC}; measured on vLLM 0.32",
)
def engine_exposed(each: InContext) -> Iterator[Hit]:
    engine = each.engine
    for service in engine.services:
        kind = service.spec.at("type")
        if kind.text in ("LoadBalancer", "NodePort") or service.spec.at("externalIPs").items():
            says = f"Service {service.name} of type {kind.text} reaches port {engine.port} of the engine directly"
            fix = "type: ClusterIP, and a gateway in front that passes only the paths you mean to serve"
            yield Hit(at=kind, says=says, fix=fix, within=service)
    for port in engine.container.at("ports").items():
        if port.at("hostPort").exists:
            says = f"hostPort {port.at('hostPort').text} opens the engine on the node's own address"
            yield Hit(at=port.at("hostPort"), says=says, fix="remove hostPort")


@context_rule(
    "error",
    finds="an Ingress or route that leads straight to the engine",
    why="--api-key guards /v1 only: /invocations, /tokenize, /pause, /metrics and more answer without it",
    reference=f"{_SECURITY_DOC}; measured on vLLM 0.32",
)
def engine_behind_ingress(each: InContext) -> Iterator[Hit]:
    names = {service.name for service in each.engine.services}
    for ingress in each.manifests.of_kind("Ingress"):
        if not same_namespace(ingress, each.object):
            continue
        for path in _ingress_paths(ingress.spec):
            prefix = path.at("path").text or "/"
            name = path.at("backend", "service", "name")
            if name.text in names and not prefix.startswith("/v1"):
                says = f"path {prefix} of Ingress {ingress.name} leads to every path of the engine"
                fix = "a gateway with an allow-list of paths, or path: /v1 with an API key"
                yield Hit(at=name, says=says, fix=fix, within=ingress, evidence=prefix)


def _ingress_paths(spec: Node) -> Iterator[Node]:
    for rule in spec.at("rules").items():
        yield from rule.at("http", "paths").items()
    default = spec.at("defaultBackend")
    if default.exists:
        yield Node(value={"backend": default}, line=default.line, path=default.path, file=default.file)


@serving_rule(
    "error",
    finds="an engine in the host's network",
    why="port 8000 and vLLM's unguarded internal ports open on the node's own address, past every NetworkPolicy",
    reference=_SECURITY_DOC,
)
def host_network(engine: Engine) -> Iterator[Hit]:
    flag = engine.pod.spec.at("hostNetwork")
    if flag.is_true:
        yield Hit(at=flag, says="hostNetwork: true", fix="remove it; RDMA needs a device plugin or Multus, not this")


@context_rule(
    "warning",
    finds="an engine with service links",
    why="Kubernetes injects VLLM_* variables for Services whose name begins with vllm; vLLM reads VLLM_* as its own",
    reference="vllm-project/vllm#34199; defilantech/LLMKube#358, #361",
)
def service_links(each: InContext) -> Iterator[Hit]:
    links = each.engine.pod.spec.at("enableServiceLinks")
    if links.is_false:
        return
    names = sorted(
        service.name
        for service in each.manifests.of_kind("Service")
        if service.name.startswith("vllm") and same_namespace(service, each.object)
    )
    fix = "enableServiceLinks: false"
    if "vllm" in names:
        says = "Service vllm injects VLLM_PORT=tcp://..., which vLLM takes for its own port and crashes"
        yield Hit(at=links, says=says, fix=fix, severity="error")
    elif names:
        variable = names[0].upper().replace("-", "_")
        says = f"Service {names[0]} injects {variable}_PORT and others, which vLLM warns about"
        yield Hit(at=links, says=says, fix=fix)
    else:
        says = "enableServiceLinks is not false: the first Service named vllm would crash every new pod"
        yield Hit(at=links, says=says, fix=fix)


def _setting(engine: Engine, key: str) -> Node:
    """A field of the container's security context, or of the pod's."""
    own = engine.container.at("securityContext", key)
    return own if own.exists else engine.pod.spec.at("securityContext", key)


@serving_rule(
    "warning",
    finds="an engine that runs as root",
    why="vLLM parses media, templates and grammars of strangers; a way out of it is then root on the node's devices",
    reference=f"{_POD_SECURITY}; vllm-project/vllm#40275",
)
def runs_as_root(engine: Engine) -> Iterator[Hit]:
    user, non_root = _setting(engine, "runAsUser"), _setting(engine, "runAsNonRoot")
    if user.number == 0:
        yield Hit(at=user, says="runAsUser: 0", fix="runAsUser: 2000, runAsGroup: 0, fsGroup: 0, the image's own user")
    elif not user.exists and not non_root.is_true:
        says = "no runAsUser and no runAsNonRoot: vLLM's image defaults to root"
        yield Hit(at=user, says=says, fix="runAsUser: 2000, runAsGroup: 0, fsGroup: 0, the image's own user")


@serving_rule(
    "error",
    finds="a privileged engine",
    why="it sees every device and file of the node, GPUs of other pods among them",
    reference=_POD_SECURITY,
)
def privileged(engine: Engine) -> Iterator[Hit]:
    flag = engine.container.at("securityContext", "privileged")
    if flag.is_true:
        fix = "remove it: the device plugin hands out the GPU without it"
        yield Hit(at=flag, says="privileged: true", fix=fix)


@serving_rule(
    "warning",
    finds="an engine that keeps privileges it does not need",
    why="an exploit in the server then has more to work with",
    reference=_POD_SECURITY,
)
def not_hardened(engine: Engine) -> Iterator[Hit]:
    context = engine.container.at("securityContext")
    dropped = {each.text for each in context.at("capabilities", "drop").items()}
    missing = []
    if not context.at("allowPrivilegeEscalation").is_false:
        missing.append("allowPrivilegeEscalation: false")
    if "ALL" not in dropped:
        missing.append("capabilities: {drop: [ALL]}")
    if _setting(engine, "seccompProfile").at("type").text not in ("RuntimeDefault", "Localhost"):
        missing.append("seccompProfile: {type: RuntimeDefault}")
    if missing and not context.at("privileged").is_true:
        yield Hit(
            at=context,
            says=f"securityContext lacks {', '.join(missing)}",
            fix=", ".join(missing),
            evidence=_written(context),
        )


def _written(context: Node) -> str:
    return ", ".join(key for key, _ in context.entries()) if context.exists else "(missing)"


@engine_rule(
    "error",
    finds="vLLM's development mode or its insecure serialization",
    why="both add endpoints or formats with which a request runs code or resets the engine",
    reference=_SECURITY_DOC,
)
def development_mode(engine: Engine) -> Iterator[Hit]:
    for name in ("VLLM_SERVER_DEV_MODE", "VLLM_ALLOW_INSECURE_SERIALIZATION"):
        entry = engine.env.get(name)
        if entry is not None and entry.at("value").text not in ("", "0", "false"):
            says = f"{name}={entry.at('value').text}"
            yield Hit(at=entry, says=says, fix=f"remove {name}", evidence=entry.at("value").text)


@engine_rule(
    "warning",
    finds="NVIDIA_VISIBLE_DEVICES set by hand",
    why="it goes past the device plugin: the container sees GPUs that belong to other pods",
    reference="GPU Operator chart, ACCEPT_NVIDIA_VISIBLE_DEVICES_ENVVAR_WHEN_UNPRIVILEGED",
)
def visible_devices(engine: Engine) -> Iterator[Hit]:
    entry = engine.env.get("NVIDIA_VISIBLE_DEVICES")
    if entry is not None and entry.at("value").text not in ("void", "none", ""):
        value = entry.at("value").text
        fix = "remove it and ask for nvidia.com/gpu"
        yield Hit(at=entry, says=f"NVIDIA_VISIBLE_DEVICES={value}", fix=fix, evidence=value)


@context_rule(
    "info",
    finds="an engine that no NetworkPolicy covers",
    why="every pod of the cluster can reach port 8000, where most paths ask for no key",
    reference="https://kubernetes.io/docs/concepts/services-networking/network-policies/",
)
def no_network_policy(each: InContext) -> Iterator[Hit]:
    for policy in each.manifests.of_kind("NetworkPolicy"):
        if same_namespace(policy, each.object) and selects(policy.spec.at("podSelector"), each.engine.pod.labels):
            return
    says = "no NetworkPolicy among these documents selects these pods"
    fix = f"allow port {each.engine.port} from the gateway and from Prometheus only"
    yield Hit(at=each.engine.pod.root, says=says, fix=fix, evidence="(missing)")


RULES: tuple[Rule, ...] = (
    trust_remote_code,
    api_key_in_args,
    secret_in_env,
    unneeded_hub_token,
    engine_exposed,
    engine_behind_ingress,
    host_network,
    service_links,
    runs_as_root,
    privileged,
    not_hardened,
    development_mode,
    visible_devices,
    no_network_policy,
)
