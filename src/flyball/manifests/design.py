"""`ServiceDesign`: everything that the objects of a service depend on, decided before any of them is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from flyball.catalog import Accelerator, EngineRelease, InstanceType
from flyball.manifests.manifest import Because
from flyball.spec import KubernetesSpec, ServingSpec
from flyball.spec.kubernetes import NodePools

PART = "app.kubernetes.io"
CAPACITY_LABEL = "flyball/capacity"
"""On engine pods where some run on demand and the others on spot: which of the two Deployments they belong to."""
ENGINE_PORT, GATEWAY_PORT, GATEWAY_METRICS_PORT, GATEWAY_ADMIN_PORT = 8000, 8080, 9902, 9901
Capacity = Literal["on-demand", "spot"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDesign:
    """One service. Durations are in seconds, replicas are those of the whole service."""

    spec: ServingSpec
    release: EngineRelease
    engine_args: Mapping[str, Because]
    """vLLM's flags by name, with underscores: those of the plan."""
    max_num_seqs: int
    weights_bytes: int
    """Of the whole model."""
    accelerator: Accelerator
    gpus_per_replica: int
    machine: InstanceType
    on_demand_floor: int | None
    """Replicas up to this number run on demand, those above on spot; None: none runs on spot."""
    min_replicas: Because
    max_replicas: Because
    typical_replicas: int
    """At typical traffic."""
    target: Because
    """The scaling signal per replica."""
    start_s: Because
    """From the container's start to ready."""
    longest_stream_s: Because
    on_demand_usd_per_hour: float | None
    """For the whole machine; None where no price is known."""
    spot_usd_per_hour: float | None

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def namespace(self) -> str:
        return self.spec.kubernetes.namespace

    @property
    def kubernetes(self) -> KubernetesSpec:
        return self.spec.kubernetes

    @property
    def engine_name(self) -> str:
        """Of the Deployment that is scaled, of its scaler, and of the headless Service over all replicas."""
        return f"{self.name}-engine"

    @property
    def floor_name(self) -> str:
        """Of the Deployment of the replicas that always run on demand, where the others run on spot."""
        return f"{self.name}-engine-floor"

    @property
    def gateway_name(self) -> str:
        return f"{self.name}-gateway"

    @property
    def engine_host(self) -> str:
        """The name that resolves to every ready replica."""
        return f"{self.engine_name}.{self.namespace}.svc.{self.kubernetes.cluster_domain}"

    @property
    def image(self) -> str:
        return self.kubernetes.image or f"vllm/vllm-openai:v{self.release.version}"

    @property
    def served_model_name(self) -> str:
        """A model from a folder goes by the folder's name: its path means nothing in the cluster."""
        model = self.spec.model
        return model.served_name or (model.id.rsplit("/", 1)[-1] if model.id.startswith("/") else model.id)

    @property
    def node_pools(self) -> NodePools:
        """What adds GPU nodes."""
        if self.kubernetes.node_pools is not None:
            return self.kubernetes.node_pools
        usual: dict[str, NodePools] = {"aws": "karpenter", "gcp": "gke"}
        return usual.get(self.machine.cloud.name, "none") if self.kubernetes.cluster else "none"

    @property
    def node_start_s(self) -> float:
        """Before a container starts where its node has to be made first; 0 where no node is ever added."""
        return 0.0 if self.node_pools == "none" else self.kubernetes.node_start

    @property
    def cold_start_s(self) -> float:
        """From the decision to add a replica until it serves, if it needs a new node."""
        return self.node_start_s + float(self.start_s.value)

    @property
    def floor_replicas(self) -> int:
        """Of the Deployment that stays on demand while another one runs on spot; 0 where there is only one."""
        return self.on_demand_floor or 0 if self._is_split else 0

    @property
    def _is_split(self) -> bool:
        return self.on_demand_floor is not None and 0 < self.on_demand_floor < self.max_replicas.value

    @property
    def scaled_capacity(self) -> Capacity:
        """Where the replicas run that come and go."""
        floor = self.on_demand_floor
        return "spot" if floor is not None and floor < self.max_replicas.value else "on-demand"

    @property
    def scaled_min(self) -> int:
        """Replicas of the scaled Deployment; KEDA can go to 0 where the floor keeps the signal alive."""
        least = 0 if self.floor_replicas and self.spec.scaling.by == "keda" else 1
        return max(least, int(self.min_replicas.value) - self.floor_replicas)

    @property
    def scaled_max(self) -> int:
        return max(1, self.scaled_min, int(self.max_replicas.value) - self.floor_replicas)

    @property
    def is_scaled(self) -> bool:
        """Whether anything changes the number of replicas."""
        return self.scaled_min < self.scaled_max

    @property
    def spot_notice_s(self) -> float | None:
        """What pods get of the cloud's notice before a spot machine goes; None where no replica runs on spot."""
        return self.machine.cloud.pod_notice_s if self.scaled_capacity == "spot" else None

    def labels(self, component: str) -> dict[str, Any]:
        """Of every object of that part of the service."""
        return {
            **self.selector(component),
            f"{PART}/part-of": self.name,
            f"{PART}/managed-by": "flyball",
            **({f"{PART}/version": self.release.version} if component == "engine" else {}),
        }

    def selector(self, component: str) -> dict[str, Any]:
        """What never changes of the labels, so that Services and budgets find the pods of every rollout."""
        name = {"engine": "vllm", "gateway": "envoy"}.get(component, component)
        return {f"{PART}/name": name, f"{PART}/instance": self.name, f"{PART}/component": component}

    def metadata(self, name: str, component: str, **more: Any) -> dict[str, Any]:
        """Of an object in the service's namespace."""
        return {"name": name, "namespace": self.namespace, "labels": self.labels(component), **more}
