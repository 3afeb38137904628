"""Rules about node drains: PodDisruptionBudgets that protect, and those that block."""

import math
from collections.abc import Iterator

from flyball.lint.engine import Engine
from flyball.lint.node import Node
from flyball.lint.reading import KubernetesObject
from flyball.lint.rule import Hit, Rule, serving_rule

_PDB_DOC = "https://kubernetes.io/docs/tasks/run-application/configure-pdb/"


@serving_rule(
    "error",
    finds="a PodDisruptionBudget that never allows an eviction",
    why="no node with one of these pods can be drained: upgrades and spot replacements hang, or kill the pods hard",
    reference=_PDB_DOC,
)
def budget_blocks_drain(engine: Engine) -> Iterator[Hit]:
    for budget in engine.budgets:
        least, most = budget.spec.at("minAvailable"), budget.spec.at("maxUnavailable")
        replicas = max(engine.min_replicas, 1)
        if most.exists and most.text.rstrip("%") == "0":
            yield _blocked(budget, most, "maxUnavailable: 0 allows no eviction")
        elif least.exists and _pods(least, replicas) >= replicas:
            says = f"minAvailable {least.text} of {replicas} replica{'s' if replicas > 1 else ''} allows no eviction"
            yield _blocked(budget, least, says)


def _blocked(budget: KubernetesObject, at: Node, says: str) -> Hit:
    return Hit(at=at, says=says, fix="maxUnavailable: 1, and 2 replicas or more", within=budget)


def _pods(amount: Node, replicas: int) -> float:
    """A number of pods, or a percentage of them rounded up."""
    if amount.text.endswith("%") and amount.text[:-1].isdigit():
        return math.ceil(replicas * int(amount.text[:-1]) / 100)
    return amount.number or 0.0


@serving_rule(
    "warning",
    finds="a PodDisruptionBudget that protects pods which are not ready",
    why="pods that load for minutes, or never become ready, count as unavailable and block every node drain",
    reference=f"{_PDB_DOC}#unhealthy-pod-eviction-policy",
)
def budget_guards_unready(engine: Engine) -> Iterator[Hit]:
    for budget in engine.budgets:
        policy = budget.spec.at("unhealthyPodEvictionPolicy")
        if policy.text != "AlwaysAllow":
            says = f"unhealthyPodEvictionPolicy is {policy.text or 'IfHealthyBudget, the default'}"
            yield Hit(at=policy, says=says, fix="unhealthyPodEvictionPolicy: AlwaysAllow", within=budget)


@serving_rule(
    "warning",
    finds="several replicas without a PodDisruptionBudget",
    why="a node upgrade may evict all of them at once, and each takes minutes to come back",
    reference=_PDB_DOC,
)
def no_budget(engine: Engine) -> Iterator[Hit]:
    if engine.min_replicas > 1 and not engine.budgets and engine.object.kind != "Pod":
        says = f"{engine.min_replicas} replicas, and no PodDisruptionBudget among these documents selects them"
        fix = "a PodDisruptionBudget with maxUnavailable: 1 and unhealthyPodEvictionPolicy: AlwaysAllow"
        yield Hit(at=engine.object.root.at("metadata", "name"), says=says, fix=fix, evidence="(missing)")


RULES: tuple[Rule, ...] = (budget_blocks_drain, budget_guards_unready, no_budget)
