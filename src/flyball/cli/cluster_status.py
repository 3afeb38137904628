"""The screen of a service in a cluster."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from flyball.cli.cluster_objects import the_installation
from flyball.cluster.connection import connect
from flyball.cluster.observing import ServiceState, observe
from flyball.cluster.pod_state import PodState
from flyball.cluster.scaling_chain import ScalingChain


def cluster_status(
    spec: Path | None,
    manifests: Path | None,
    *,
    context: str | None,
    kubeconfig: Path | None,
    output: Literal["table", "json"],
) -> int:
    """Print the state of the service that the spec or the manifests name; the exit code says whether it is healthy."""
    installation = the_installation(spec, manifests)
    with connect(context=context, kubeconfig=kubeconfig) as api:
        print(f"{api.target}, namespace {installation.namespace}", file=sys.stderr)
        state = observe(api, installation)
    if output == "json":
        print(json.dumps({**asdict(state), "gpus": state.gpus, "is_healthy": state.is_healthy}, indent=2))
    else:
        for line in status_lines(state):
            print(line)
    return 0 if state.is_healthy else 1


def status_lines(state: ServiceState) -> Iterator[str]:
    """The screen, line by line."""
    if not state.exists:
        yield f"{state.name} is not in namespace {state.namespace}: `flyball apply` puts it there"
        return
    verdict = "healthy" if state.is_healthy else "not healthy"
    yield f"{state.name}  {verdict}  {len(state.pods)} pods  {state.gpus} GPUs"
    for workload in state.workloads:
        yield f"  {workload.key}  {workload.text}"
    yield ""
    yield from _pod_lines(state.pods)
    for chain in state.chains:
        yield ""
        yield from _chain_lines(chain)
    if state.warnings:
        yield ""
        yield "last warnings"
        yield from (f"  {warning}" for warning in state.warnings)


def _pod_lines(pods: tuple[PodState, ...]) -> Iterator[str]:
    rows = [("pod", "component", "state", "restarts", "gpus", "node")]
    rows += [
        (pod.name, pod.component or "-", pod.phase, str(pod.restarts), str(pod.gpus or "-"), pod.node or "-")
        for pod in pods
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row, pod in zip(rows, (None, *pods), strict=True):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        if pod is not None and pod.reason:
            yield f"  {pod.reason}" + (f" ({pod.hint})" if pod.hint else "")


def _chain_lines(chain: ScalingChain) -> Iterator[str]:
    scaler = f"ScaledObject {chain.scaled_object} -> " if chain.scaled_object else ""
    yield (
        f"{scaler}HPA {chain.hpa or '(none)'} -> Deployment {chain.deployment}: "
        f"{chain.current} replicas, {chain.desired} desired, {chain.min_replicas} to {chain.max_replicas}"
    )
    for signal in chain.signals:
        unit = {"AverageValue": " a replica", "Utilization": " %"}.get(signal.kind, "")
        yield f"  {signal.name}: {signal.current}, target {signal.target}{unit}"
    for condition in chain.conditions:
        yield f"  {condition.source} {condition.type} is {condition.status}: {condition.reason}: {condition.message}"
    yield from (f"  {remark}" for remark in chain.remarks)
    yield from (f"  {decision}" for decision in chain.decisions)
