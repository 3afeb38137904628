"""vLLM's arguments on Kubernetes: the plan's flags and those that a pod needs."""

import math
from collections.abc import Mapping
from typing import Any

from flyball.errors import UsageError
from flyball.manifests.design import ENGINE_PORT, ServiceDesign
from flyball.manifests.drain import Drain
from flyball.manifests.latency import bucket_flag
from flyball.manifests.manifest import Because

SET_ELSEWHERE = {
    "model": "use model.id",
    "model_tag": "use model.id",
    "served_model_name": "use model.served_name",
    "revision": "use model.revision",
    "host": "probes, Service and NetworkPolicy know the port only",
    "port": f"every replica listens on {ENGINE_PORT}; the gateway's Service is the door",
    "uds": "the gateway connects over TCP",
    "api_key": "use gateway.api_key_env: a key among the arguments can be read by everyone",
    "shutdown_timeout": "use kubernetes.longest_stream: the grace period follows from it",
    "disable_log_stats": "leave it out: scaling reads the metrics that it takes away",
    "trust_remote_code": "it runs code from the model's repository; use a model that vLLM knows",
}
LEAST_QUEUE = 32
"""Requests that may wait in a replica at least, so that a short burst is not refused."""


def command_line(design: ServiceDesign, drain: Drain) -> list[Any]:
    """`args` of the container, whose entrypoint is `vllm serve`. UsageError for a flag that has a place of its own."""
    for name in design.spec.engine:
        if name in SET_ELSEWHERE:
            raise UsageError(f"engine.{name} cannot be set on Kubernetes", fix=SET_ELSEWHERE[name])
    flags: dict[str, Because | Any] = {
        "served_model_name": Because(design.served_model_name, "what clients ask for; the metrics' label model_name"),
        **bucket_flag(design.spec.slo, design.release),
        **design.engine_args,
        "shutdown_timeout": Because(drain.shutdown_timeout_s, _shutdown_reason(design, drain)),
    }
    if design.release.has_flag("max_num_queued_reqs") and "max_num_queued_reqs" not in flags:
        flags["max_num_queued_reqs"] = queue_limit(design)
    if design.release.has_flag("disable_access_log_for_endpoints"):
        flags.setdefault("disable_access_log_for_endpoints", "/health,/metrics")
    return [model_path(design), *arguments(flags, design)]


def model_path(design: ServiceDesign) -> str:
    """Where the container sees the model's files."""
    weights = design.kubernetes.weights
    if weights.image is not None:
        return "/models"
    return f"/models/{model_folder(design)}"


def model_folder(design: ServiceDesign) -> str:
    """Below the volume's root: a folder for each revision, so that a rollout finds the old one and the new one."""
    model = design.spec.model
    name = model.id.rsplit("/", 1)[-1] if model.id.startswith("/") else model.id
    return f"{name}/{model.revision or 'main'}"


def queue_limit(design: ServiceDesign) -> Because:
    """`--max-num-queued-reqs`, which bounds the requests that wait in one replica."""
    target = float(design.target.value) if design.spec.scaling.signal == "waiting" else 0.0
    value = max(LEAST_QUEUE, design.max_num_seqs, math.ceil(4 * target))
    reason = "one more is answered 503, and the gateway tries another replica; vLLM's own queue has no end."
    if target:
        reason += (
            f" Four times the {target:g} waiting requests that the autoscaler aims at: below it, it could not fire"
        )
    else:
        reason += " As many as run at once: they wait about as long as an answer takes"
    return Because(value, reason)


def arguments(flags: Mapping[str, Any], design: ServiceDesign) -> list[Any]:
    """`--name=value`, since a value may begin with a dash; the reasons stay."""
    found: list[Any] = []
    for name, given in flags.items():
        reason = given.reason if isinstance(given, Because) else ""
        value = given.value if isinstance(given, Because) else given
        words = argument(name, value, design)
        found += [Because(word, reason) if reason else word for word in words]
    return found


def argument(name: str, value: Any, design: ServiceDesign) -> list[str]:
    option = f"--{name.replace('_', '-')}"
    if value is True:
        return [option]
    if value is False:
        flag = design.release.find_flag(name)
        return list(flag.off[:1]) if flag else []
    return [f"{option}={value}"]


def _shutdown_reason(design: ServiceDesign, drain: Drain) -> str:
    default = "vLLM's default of 0 aborts every stream at SIGTERM."
    if drain.cuts_streams:
        return (
            f"{default} {drain.longest_stream_s} s would be needed ({design.longest_stream_s.reason}), but pods get"
            f" {drain.notice_s:g} s before a spot machine goes"
        )
    return f"{default} {design.longest_stream_s.reason}"
