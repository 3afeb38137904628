"""`ServingSpec`: the user's file. What is wanted (model, objective, traffic, limits), never how."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from flyball.spec.autoscaling import BehaviorSpec, RulesSpec, ScalingSpec
from flyball.spec.flags import FlagName, FlagValue, pattern
from flyball.spec.kubernetes import KubernetesSpec
from flyball.spec.measured import MeasuredSpec
from flyball.spec.objective import SLO, Percentiles
from flyball.spec.quantities import Bytes, PositiveSeconds, Seconds, SpecModel
from flyball.spec.traffic import WorkloadShape
from flyball.spec.tune import TuneSpec

_SERVICE_NAME = r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?"


def _service_name(name: str) -> str:
    if not re.fullmatch(_SERVICE_NAME, name):
        raise ValueError("must be at most 40 lower-case letters, digits and dashes, a letter first")
    return name


def _at_least_64_mi(count: int) -> int:
    if count < 2**26:
        raise ValueError("must be at least 64Mi")
    return count


Port = Annotated[int, Field(ge=1, le=65535)]


class ModelSpec(SpecModel):
    """Which model."""

    id: Annotated[str, Field(min_length=1)]
    """A Hugging Face id, or a path to a folder with config.json (relative to the spec)."""
    revision: str | None = None
    """The commit of the weights; pin it, so that every replica serves the same ones."""
    quantization: str | None = None
    """null, or what vLLM's --quantization takes: fp8, awq, gptq, ..."""
    served_name: str | None = None
    """The name clients ask for; the id when null."""


class SpotSpec(SpecModel):
    """Whether replicas may run on reclaimable machines."""

    allowed: bool = False
    on_demand_floor: NonNegativeInt = 1
    """This many replicas never run on spot."""
    reclaims_per_machine_hour: NonNegativeFloat = 0.05
    """How often a spot machine is taken back; 0.05 is once in 20 hours, assumed. Clouds publish no rate: AWS's Spot
    Advisor puts most GPU machines in its worst band, over 20 % a month, which has no upper end, and scarce GPUs
    are known to go several times a day."""


class HardwareSpec(SpecModel):
    """Where it may run."""

    cloud: Literal["aws", "gcp", "azure", "none"] = "aws"
    """none: machines of your own, or another provider's."""
    accelerators: tuple[str, ...] = ()
    """Which accelerators may be considered; empty means all in the catalog."""
    spot: SpotSpec = SpotSpec()


class GatewaySpec(SpecModel):
    """The door in front of the replicas."""

    port: Port = 8000
    idle_timeout: PositiveSeconds = 300.0
    """A stream without a byte for this long is cut; there is no limit on its whole length."""
    max_pending: PositiveInt = 1024
    """Requests in the system that the gateway admits; one more is answered 503 at once."""
    retries: NonNegativeInt = 2
    """Further replicas that are tried while nothing has been answered."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key clients must send; null means no key."""


class LocalSpec(SpecModel):
    """`flyball up` and `flyball prove` on this machine. Short periods, because people watch."""

    sync_period: PositiveSeconds = 5.0
    """How often the HPA law decides (15 s on Kubernetes)."""
    behavior: BehaviorSpec = BehaviorSpec(
        scale_up=RulesSpec(stabilization_window=0.0), scale_down=RulesSpec(stabilization_window=30.0)
    )
    """As `scaling.behavior`, for this machine."""
    kv_cache: Annotated[Bytes, AfterValidator(_at_least_64_mi)] = 2**28
    """KV cache of a replica on a CPU (vLLM's VLLM_CPU_KVCACHE_SPACE)."""
    cores: PositiveInt | None = None
    """Cores of a replica, a thread on each, bound where no other has them too; null: its share, and at least one."""
    start_timeout: PositiveSeconds = 600.0
    """A replica that is not healthy by then is stopped and reported."""
    drain_timeout: PositiveSeconds = 60.0
    """vLLM's --shutdown-timeout: streams longer than this are cut when their replica leaves."""


class ProveSpec(SpecModel):
    """The acceptance test."""

    replicas: PositiveInt | None = None
    """The number the fleet must reach; null is `scaling.max`."""
    baseline: PositiveSeconds = 25.0
    """How long the baseline load runs."""
    step: PositiveFloat | None = None
    """The step, times what one replica completes with as many requests in it as the scaling aims at; null is enough for
    the last replica to be wanted too, if each has hardware of its own. `workload.peak` stands above both."""
    hold: PositiveSeconds = 40.0
    """How long the objective must hold again with all replicas ready."""
    patience: Seconds = 240.0
    """How long to wait for any change (scale-out ready, objective regained, healed, scaled back)."""


class ServingSpec(SpecModel):
    """One service: a model, its objective, its traffic and its limits."""

    name: Annotated[str, AfterValidator(_service_name), pattern(_SERVICE_NAME)] = "chat"
    """Names every object; lower case, digits and dashes."""
    model: ModelSpec
    slo: SLO = SLO(ttft=Percentiles(p95=0.2), tpot=Percentiles(p95=0.05))
    workload: WorkloadShape = WorkloadShape()
    hardware: HardwareSpec = HardwareSpec()
    scaling: ScalingSpec = ScalingSpec()
    engine: dict[FlagName, FlagValue] = Field(default={})
    """vLLM's own flag names with underscores (max_num_seqs: 64); these override what is derived."""
    kubernetes: KubernetesSpec = KubernetesSpec()
    gateway: GatewaySpec = GatewaySpec()
    local: LocalSpec = LocalSpec()
    prove: ProveSpec = ProveSpec()
    tune: TuneSpec = TuneSpec()
    measured: MeasuredSpec | None = None
    """What a replica was measured to hold: `flyball tune --write` fills it in, `plan` uses it where all of it fits."""
