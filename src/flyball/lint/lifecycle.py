"""How long an engine takes to start and to stop, as far as a manifest says it."""

import re
from dataclasses import dataclass

from flyball.lint.engine import Engine
from flyball.lint.node import Node

DEFAULT_GRACE_S = 30.0
"""Kubernetes' terminationGracePeriodSeconds."""
TEARDOWN_S = 15.0
"""From the last token of a drained vLLM to its exit: about 10 s measured on a CPU build, and a margin."""
BUDGET_FACTOR = 3.0
"""A startup probe should allow three times the start that was measured; so a third of it is a start to expect."""
_SLEEP = re.compile(r"\bsleep\s+(\d+(?:\.\d+)?)(s|m)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Termination:
    """The three numbers of a drain."""

    pre_stop: Node
    pre_stop_s: float | None
    """None: the hook does something whose time the manifest does not say."""
    timeout_s: float
    """`--shutdown-timeout`, 0 without it."""
    grace: Node
    grace_s: float

    @property
    def drain_s(self) -> float:
        """What the pod needs before its engine tears down."""
        return (self.pre_stop_s or 0.0) + self.timeout_s

    @property
    def needed_s(self) -> float:
        return self.drain_s + TEARDOWN_S

    @property
    def sum_written(self) -> str:
        """The arithmetic, for messages."""
        return f"preStop {self.pre_stop_s or 0:g} s + shutdown-timeout {self.timeout_s:g} s"


def termination(engine: Engine) -> Termination:
    pre_stop = engine.container.at("lifecycle", "preStop")
    grace = engine.pod.spec.at("terminationGracePeriodSeconds")
    return Termination(
        pre_stop=pre_stop,
        pre_stop_s=_pre_stop_seconds(pre_stop),
        timeout_s=engine.number("shutdown_timeout") or 0.0,
        grace=grace,
        grace_s=DEFAULT_GRACE_S if grace.number is None else grace.number,
    )


def hook_script(pre_stop: Node) -> str:
    """The command of an exec hook as one line."""
    return " ".join(word.text for word in pre_stop.at("exec", "command").items())


def _pre_stop_seconds(pre_stop: Node) -> float | None:
    if not pre_stop.exists:
        return 0.0
    native = pre_stop.at("sleep", "seconds").number
    if native is not None:
        return native
    sleeps = _SLEEP.findall(hook_script(pre_stop))
    return sum(float(number) * (60 if unit == "m" else 1) for number, unit in sleeps) if sleeps else None


def probe_budget_s(probe: Node) -> float:
    """Seconds until a probe that always fails has its effect (Kubernetes' defaults: every 10 s, 3 failures)."""
    period, failures = probe.at("periodSeconds").number or 10.0, probe.at("failureThreshold").number or 3.0
    return (probe.at("initialDelaySeconds").number or 0.0) + period * failures


@dataclass(frozen=True, slots=True, kw_only=True)
class StartUp:
    """A start that the manifest itself expects."""

    seconds: float
    because: str


def expected_start_up(engine: Engine) -> StartUp | None:
    """From the probes, None if they say nothing."""
    found: list[StartUp] = []
    startup = engine.container.at("startupProbe")
    if startup.exists:
        budget = probe_budget_s(startup)
        because = f"a third of the {budget:g} s that its startupProbe allows"
        found.append(StartUp(seconds=budget / BUDGET_FACTOR, because=because))
    delay = engine.container.at("readinessProbe", "initialDelaySeconds").number
    if delay:
        found.append(StartUp(seconds=delay, because="the initialDelaySeconds of its readinessProbe"))
    return max(found, key=lambda each: each.seconds, default=None)
