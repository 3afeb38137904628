"""Rules about stopping: requests must finish, and clients must not hang."""

import re
from collections.abc import Iterator

from flyball.lint.engine import Engine
from flyball.lint.finding import Severity
from flyball.lint.lifecycle import TEARDOWN_S, hook_script, termination
from flyball.lint.placement import spot_notice
from flyball.lint.rule import Hit, Rule, serving_rule

FIRST_WITH_SHUTDOWN_TIMEOUT = (0, 18, 0)
SHORT_PRE_STOP_S = 5.0
LONGEST_OVERRUN_S = 60.0
_KILL = re.compile(r"\bkill\b|\bpkill\b|\bkillall\b")


@serving_rule(
    "error",
    finds="an engine without --shutdown-timeout",
    why="its default is 0: on SIGTERM vLLM aborts every running request, and streams end in an error chunk",
    reference="vllm-project/vllm#36666; measured on vLLM 0.32",
)
def no_shutdown_timeout(engine: Engine) -> Iterator[Hit]:
    flag = engine.flag("shutdown_timeout")
    if not engine.has_all_flags or (flag and (flag.number or not flag.is_known)):
        return
    numbers = tuple(int(part) for part in engine.version.split(".")) if engine.version else None
    if numbers and numbers < FIRST_WITH_SHUTDOWN_TIMEOUT:
        says, fix = f"vLLM {engine.version} cannot drain: it has no --shutdown-timeout", "use vLLM 0.33.0"
    else:
        says = "--shutdown-timeout 0 aborts requests on SIGTERM" if flag else "--shutdown-timeout is not set"
        fix = "add --shutdown-timeout with the seconds of the longest answer, for example 60"
    yield Hit(
        at=flag.node if flag else engine.flag_node, says=says, fix=fix, evidence=flag.written if flag else "(missing)"
    )


@serving_rule(
    "error",
    finds="a preStop hook that kills the server",
    why="the kubelet sends SIGTERM itself after the hook; vLLM serves normally during the sleep and drains nothing",
    reference="https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/; measured on vLLM 0.32",
)
def pre_stop_kills(engine: Engine) -> Iterator[Hit]:
    script = hook_script(termination(engine).pre_stop)
    if _KILL.search(script):
        at = termination(engine).pre_stop.at("exec", "command")
        fix = "use `preStop: {sleep: {seconds: 15}}` and --shutdown-timeout"
        yield Hit(at=at, says=f"the preStop hook runs `{script}`", fix=fix, evidence=script)


@serving_rule(
    "error",
    finds="an engine without a preStop sleep",
    why="SIGTERM comes before the endpoints are updated; a draining vLLM answers new requests with HTTP 500 while its"
    " /health stays 200",
    reference="measured on vLLM 0.32; https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/",
)
def no_pre_stop(engine: Engine) -> Iterator[Hit]:
    pre_stop = termination(engine).pre_stop
    if not pre_stop.exists:
        fix = "add lifecycle.preStop.sleep.seconds: 15, longer than the endpoints take to spread"
        yield Hit(at=pre_stop, says="no preStop hook: requests still arrive after SIGTERM", fix=fix)


@serving_rule(
    "warning",
    finds="a preStop sleep of less than 5 s",
    why="kube-proxy, gateways and load balancers need about 10 to 15 s to stop sending to a pod",
    reference="https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/",
)
def pre_stop_short(engine: Engine) -> Iterator[Hit]:
    drain = termination(engine)
    if drain.pre_stop.exists and drain.pre_stop_s is not None and drain.pre_stop_s < SHORT_PRE_STOP_S:
        native = drain.pre_stop.at("sleep", "seconds")
        at = native if native.exists else drain.pre_stop
        says = f"the preStop hook waits {drain.pre_stop_s:g} s"
        yield Hit(
            at=at, says=says, fix="wait 15 s; 30 s behind a cloud load balancer", evidence=f"{drain.pre_stop_s:g}"
        )


@serving_rule(
    "error",
    finds="a grace period shorter than preStop + --shutdown-timeout + teardown",
    why="SIGKILL comes in the middle of the drain; the preStop hook counts against the grace period",
    reference="https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/; measured on vLLM 0.32",
)
def grace_too_short(engine: Engine) -> Iterator[Hit]:
    drain = termination(engine)
    if drain.pre_stop_s is None or drain.needed_s <= drain.grace_s:
        return
    default = "" if drain.grace.exists else " (Kubernetes' default)"
    says = (
        f"{drain.sum_written} + {TEARDOWN_S:g} s teardown = {drain.needed_s:g} s"
        f" > terminationGracePeriodSeconds {drain.grace_s:g}{default}"
    )
    fix = f"terminationGracePeriodSeconds: {drain.needed_s:g}, or a shorter --shutdown-timeout"
    # A teardown that is cut serves nobody; what is lost then is the answer that takes the whole timeout.
    severity: Severity = "warning" if 0 < drain.drain_s <= drain.grace_s else "error"
    yield Hit(at=drain.grace, says=says, fix=fix, severity=severity)


@serving_rule(
    "warning",
    finds="a grace period much longer than the drain needs",
    why="when --shutdown-timeout expires with work left, vLLM's open streams hang without an error until SIGKILL",
    reference="measured twice on vLLM 0.32; vllm-project/vllm#24885",
)
def grace_too_long(engine: Engine) -> Iterator[Hit]:
    drain = termination(engine)
    if not drain.timeout_s or drain.pre_stop_s is None or drain.grace_s <= drain.needed_s + LONGEST_OVERRUN_S:
        return
    hang = drain.grace_s - drain.drain_s
    says = f"streams that overrun {drain.sum_written} hang for up to {hang:g} s until SIGKILL"
    yield Hit(at=drain.grace, says=says, fix=f"terminationGracePeriodSeconds: {drain.needed_s:g}")


@serving_rule(
    "warning",
    finds="a drain longer than the notice of the spot machines it may run on",
    why="the machine is gone before the drain ends, with every stream that was still running",
    reference="https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html;"
    " https://cloud.google.com/kubernetes-engine/docs/concepts/spot-vms",
)
def drain_beyond_spot_notice(engine: Engine) -> Iterator[Hit]:
    drain, notice = termination(engine), spot_notice(engine.pod)
    if notice is None or drain.pre_stop_s is None or drain.drain_s <= notice.seconds:
        return
    says = f"{drain.sum_written} = {drain.drain_s:g} s > the {notice.seconds:g} s that {notice.cloud} gives pods"
    fix = f"drain within {notice.seconds:g} s on spot machines, or keep long answers on on-demand machines"
    yield Hit(at=notice.node, says=says, fix=fix, evidence=f"{drain.drain_s:g} s")


RULES: tuple[Rule, ...] = (
    no_shutdown_timeout,
    pre_stop_kills,
    no_pre_stop,
    pre_stop_short,
    grace_too_short,
    grace_too_long,
    drain_beyond_spot_notice,
)
