"""The `kubernetes` section: what a cluster is like that flyball cannot know from the model and its traffic."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt, WithJsonSchema, model_validator

from flyball.spec.quantities import PositiveSeconds, SpecModel

_NAMESPACE = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_OBJECT_NAME = r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?"
_IMAGE = r"[a-z0-9][\w./-]*(:[0-9]+/[\w./-]+)?(:[\w.-]+)?(@sha256:[0-9a-f]{64})?"


def _matching(pattern: str, rule: str) -> tuple[AfterValidator, WithJsonSchema]:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(rule)
        return text

    return AfterValidator(check), WithJsonSchema({"type": "string", "pattern": f"^{pattern}$"})


Namespace = Annotated[str, *_matching(_NAMESPACE, "must be at most 63 lower-case letters, digits and dashes")]
ObjectName = Annotated[str, *_matching(_OBJECT_NAME, "must be lower-case letters, digits, dashes and dots")]
ImageName = Annotated[
    str,
    *_matching(_IMAGE, "must be an image like registry/name:tag@sha256:<64 hexadecimal digits>; the digest may miss"),
]
HostPath = Annotated[str, *_matching(r"/[\w./-]+", "must be an absolute path")]
Url = Annotated[str, *_matching(r"https?://[\w.:/-]+", "must be a URL like http://prometheus.monitoring.svc:9090")]

NodePools = Literal["karpenter", "gke", "eks", "none"]
AccessMode = Literal["ReadWriteMany", "ReadWriteOnce"]


class WeightsSpec(SpecModel):
    """Where the replicas find the weights: in a volume claim, filled once by a Job, unless said otherwise."""

    storage_class: ObjectName | None = None
    """Of the claims; null is the cluster's default class, which must then offer the access mode."""
    access_mode: AccessMode = "ReadWriteMany"
    """ReadWriteOnce attaches to one node, so it allows one replica only."""
    host_path: HostPath | None = None
    """A folder that every GPU node has already; the model is in <folder>/<id>/<revision>."""
    image: ImageName | None = None
    """An OCI image that holds the model's files, mounted as a volume (stable from Kubernetes 1.36)."""
    token_secret: ObjectName | None = None
    """Secret whose key `token` is the Hugging Face token; only the Job that fetches sees it."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.host_path is not None and self.image is not None:
            raise ValueError("give host_path or image, not both")
        return self

    @property
    def in_claim(self) -> bool:
        return self.host_path is None and self.image is None


class TolerationSpec(SpecModel):
    """One more taint that the GPU nodes have."""

    key: str
    value: str | None = None
    """null tolerates every value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] = "NoSchedule"


class KubernetesSpec(SpecModel):
    """The cluster."""

    namespace: Namespace = "llm"
    """Where the service goes; it is created unless it is `default`."""
    cluster: ObjectName | None = None
    """The cluster's name in its cloud; node pools are rendered only with it."""
    cluster_domain: ObjectName = "cluster.local"
    """The DNS domain of the cluster's Services."""
    image: ImageName | None = None
    """The vLLM image, best with its digest; null is vllm/vllm-openai at the planned version, without one."""
    envoy_image: ImageName = "envoyproxy/envoy:v1.40.0"
    """The gateway's image, best with its digest. It needs bash, which the distroless ones lack."""
    image_pull_secret: ObjectName | None = None
    """Secret of a private registry."""
    weights: WeightsSpec = WeightsSpec()
    compile_cache: Literal["claim", "host_path", "none"] | None = None
    """What torch.compile produced, kept for the next replica: in a claim of its own, in a folder of the node, or lost
    with the pod. null: a claim where the weights have one, else none."""
    runtime_class: ObjectName | None = None
    """`nvidia` on k3s, RKE2 and Talos; elsewhere leave it null."""
    spare_gpus: NonNegativeInt | None = None
    """GPUs that are free for a rollout; null: one replica's where nodes are added on demand, else none."""
    longest_stream: PositiveSeconds | None = None
    """How long a leaving replica lets its streams run; null derives it from the longest answer and the objective."""
    start_up: PositiveSeconds | None = None
    """Measured from the container's start to ready; null takes the plan's estimate."""
    node_start: PositiveSeconds = 300.0
    """From a pod that finds no node to its container's start, the image's 12 GB pulled."""
    prometheus: Url = "http://prometheus-operated.monitoring.svc:9090"
    """Where KEDA asks for the scaling signal."""
    monitoring_namespace: Namespace = "monitoring"
    """The namespace of Prometheus: the only one from which engines and gateway may be scraped."""
    monitoring_labels: dict[str, str] = Field(default={})
    """Labels by which your Prometheus selects monitors and rules, for example {release: kube-prometheus-stack}."""
    node_pools: NodePools | None = None
    """What adds GPU nodes; null: karpenter on aws and gke on gcp where `cluster` is given, else none."""
    node_role: str | None = None
    """IAM role of Karpenter's nodes; null is KarpenterNodeRole-<cluster>, as Karpenter's own guide names it."""
    ami: str = "al2023@latest"
    """Karpenter's amiSelectorTerms alias; pin a version, for a new image replaces all nodes."""
    node_labels: dict[str, str] = Field(default={})
    """Labels by which the GPU nodes are chosen; empty derives them from the machine."""
    taint_key: str = "nvidia.com/gpu"
    """The taint of GPU nodes. Any other keeps the GPU Operator off unless its values (rendered too) tolerate it."""
    tolerations: tuple[TolerationSpec, ...] = ()
    """Further taints to tolerate."""
    spot_fallback: bool = True
    """Whether replicas above the on-demand floor may run on demand while there is no spot machine."""
    gateway_replicas: PositiveInt = 2
    """Envoys; two survive a node."""
    egress: Literal["none", "internet"] = "none"
    """Where replicas may connect to; `internet` for models that fetch images by URL. Never the metadata service."""
    liveness: Literal["progress", "health"] = "progress"
    """progress: restart a replica that has requests and makes no step; health: only one whose process is dead."""
