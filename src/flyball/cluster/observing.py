"""What a service's part of a cluster looks like now: pods, GPUs, the scaling chain, and whether all is well."""

from collections.abc import Sequence
from dataclasses import dataclass

from flyball.cluster.api_server import ApiServer
from flyball.cluster.installed import MANAGED_BY, PART_OF, Installation
from flyball.cluster.objects import ObjectKey, PlainObject, dig, key_of
from flyball.cluster.pod_state import PodState, explain_pod
from flyball.cluster.readiness import Progress, progress_of
from flyball.cluster.scaling_chain import ScalingChain, scaling_chains
from flyball.cluster.waiting import event_time

_TROUBLED = 3  # warnings on the screen


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """One screen of facts."""

    name: str
    namespace: str
    exists: bool
    workloads: tuple[Progress, ...]
    pods: tuple[PodState, ...]
    chains: tuple[ScalingChain, ...]
    warnings: tuple[str, ...]
    """The last warnings of its pods and workloads, newest first."""

    @property
    def gpus(self) -> int:
        """GPUs that pods with a node hold."""
        return sum(pod.gpus for pod in self.pods if pod.node and pod.phase != "done")

    @property
    def is_healthy(self) -> bool:
        """Everything is there, ready and scaled by a signal; replicas that come or go are no illness by themselves."""
        return (
            self.exists
            and all(workload.state == "ready" for workload in self.workloads)
            and all(pod.phase != "failing" for pod in self.pods)
            and all(chain.is_working for chain in self.chains)
        )


def observe(api: ApiServer, installation: Installation) -> ServiceState:
    """The state now. Raises OutsideError if the API server cannot be asked."""
    namespace, labels = installation.namespace, f"{PART_OF}={installation.name}"
    owned = f"{labels},{MANAGED_BY}=flyball"
    deployments = api.list("apps/v1", "Deployment", namespace=namespace, labels=owned)
    jobs = api.list("batch/v1", "Job", namespace=namespace, labels=owned)
    pods = api.list("v1", "Pod", namespace=namespace, labels=labels)
    events = sorted(api.list("v1", "Event", namespace=namespace), key=event_time)
    chains = scaling_chains(
        deployments,
        api.list("autoscaling/v2", "HorizontalPodAutoscaler", namespace=namespace),
        api.list("keda.sh/v1alpha1", "ScaledObject", namespace=namespace),
        events,
    )
    return ServiceState(
        name=installation.name,
        namespace=namespace,
        exists=bool(deployments),
        workloads=tuple(progress_of(body) for body in (*deployments, *jobs)),
        pods=tuple(explain_pod(pod, _events_of(pod, events)) for pod in pods),
        chains=chains,
        warnings=_warnings(events, {key_of(body) for body in (*deployments, *jobs, *pods)}),
    )


def _events_of(pod: PlainObject, events: Sequence[PlainObject]) -> Sequence[PlainObject]:
    name = key_of(pod).name
    return [
        event
        for event in events
        if dig(event, "involvedObject", "kind") == "Pod" and dig(event, "involvedObject", "name") == name
    ]


def _warnings(events: Sequence[PlainObject], keys: set[ObjectKey]) -> tuple[str, ...]:
    names = {(key.kind, key.name) for key in keys}
    found = [
        f"{event_time(event)} {dig(event, 'involvedObject', 'name')}: {event.get('reason')}: {event.get('message')}"
        for event in events
        if event.get("type") == "Warning"
        and (dig(event, "involvedObject", "kind"), dig(event, "involvedObject", "name")) in names
    ]
    return tuple(list(reversed(found))[:_TROUBLED])
