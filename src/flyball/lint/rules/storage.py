"""Rules about what a pod reads and writes: weights, caches, shared memory."""

from collections.abc import Iterator

from flyball.lint.engine import Engine
from flyball.lint.node import Node
from flyball.lint.rule import Hit, InContext, Rule, context_rule, serving_rule
from flyball.lint.rules.engine_flags import spans_pods

SHM = "/dev/shm"
_SHARED_MODES = frozenset({"ReadWriteMany", "ReadOnlyMany"})
_HOMES = ("/root", "/home/vllm")
"""Of the two users that vLLM's image knows."""
_HUB_CACHES = tuple(f"{home}/.cache/huggingface" for home in _HOMES)
_COMPILE_CACHES = tuple(f"{home}/.cache/vllm" for home in _HOMES)


@context_rule(
    "error",
    finds="a ReadWriteOnce volume under several replicas",
    why="the volume attaches to one node: every replica on another node hangs in ContainerCreating",
    reference="https://kubernetes.io/docs/concepts/storage/persistent-volumes/#access-modes",
)
def read_write_once_shared(each: InContext) -> Iterator[Hit]:
    engine = each.engine
    if engine.max_replicas < 2:
        return
    for volume in engine.pod.spec.at("volumes").items():
        name = volume.at("persistentVolumeClaim", "claimName")
        claim = each.manifests.named("PersistentVolumeClaim", name.text, engine.object) if name.exists else None
        modes = {mode.text for mode in claim.spec.at("accessModes").items()} if claim else set()
        if modes and not modes & _SHARED_MODES:
            says = f"claim {name.text} is {', '.join(sorted(modes))}, and up to {engine.max_replicas} replicas mount it"
            fix = "ReadWriteMany or ReadOnlyMany, an object store, or an OCI image volume"
            yield Hit(at=name, says=says, fix=fix, evidence=", ".join(sorted(modes)))


@serving_rule(
    "error",
    finds="several ranks in a pod without shared memory",
    why="containers get 64 MiB of /dev/shm: NCCL fails with 'Error while creating shared memory segment'",
    reference="NVIDIA/nccl#525; vllm-project/vllm#1710",
)
def no_shared_memory(engine: Engine) -> Iterator[Hit]:
    ranks = engine.count("tensor_parallel_size") * engine.count("pipeline_parallel_size")
    if ranks < 2 or engine.pod.spec.at("hostIPC").is_true:
        return
    volume = engine.volume_at(SHM)
    if engine.mount_of(SHM).at("mountPath").text != SHM:
        flag = engine.flag("tensor_parallel_size") or engine.flag("pipeline_parallel_size")
        fix = f"mount an emptyDir {{medium: Memory, sizeLimit: 8Gi}} at {SHM}"
        at = engine.mount_of(SHM) if not flag else engine.container.at("volumeMounts")
        evidence = flag.written if flag else ""
        yield Hit(at=at, says=f"{ranks} ranks share the default {SHM} of 64 MiB", fix=fix, evidence=evidence)
    elif volume.at("emptyDir").exists and volume.at("emptyDir", "medium").text != "Memory":
        says = f"{SHM} is an emptyDir on disk"
        fix = "medium: Memory, with a sizeLimit that the memory limit includes"
        yield Hit(at=volume.at("emptyDir", "medium"), says=says, fix=fix, severity="warning")


def hub_model(engine: Engine) -> Node | None:
    """The value that names a model of the Hugging Face hub; None if the model is a path or unknown."""
    model = engine.model
    if model is None or not model.text or model.text.startswith(("/", ".", "~", "$", "s3:", "gs:", "oci:")):
        return None
    return model.node


@context_rule(
    "warning",
    finds="several replicas that each download the model",
    why="every start and every crash fetches all weights again; the hub throttles the cluster's one address (HTTP 429)",
    reference="NVIDIA/aicr#1116; ai-dynamo/dynamo#874; vllm-project/vllm#24541",
)
def download_per_replica(each: InContext) -> Iterator[Hit]:
    engine = each.engine
    model = hub_model(engine)
    if model is None or engine.max_replicas < 2 or spans_pods(engine):
        return
    folders = [engine.env[name].at("value").text for name in ("HF_HOME", "HF_HUB_CACHE") if name in engine.env]
    flag = engine.flag("download_dir")
    folders += [flag.text] if flag else []
    volumes = [engine.volume_at(folder) for folder in (folders or _HUB_CACHES) if folder.startswith("/")]
    kept = [volume for volume in volumes if volume.exists and not volume.at("emptyDir").exists]
    if not kept and engine.object.kind != "StatefulSet":
        where = "an emptyDir" if any(volume.exists for volume in volumes) else "the container's own disk"
        says = f"up to {engine.max_replicas} replicas download {_name(engine)} to {where}"
        fix = "fetch once with a Job to a ReadWriteMany claim or an object store; serve with HF_HUB_OFFLINE=1"
        yield Hit(at=model, says=says, fix=fix, evidence=_name(engine))


def _name(engine: Engine) -> str:
    return engine.model.text if engine.model else ""


@serving_rule(
    "warning",
    finds="a hub model without --revision",
    why="pods that start on different days may serve different weights, and a rollback does not bring them back",
    reference="https://huggingface.co/docs/hub/models-downloading",
)
def model_revision_unpinned(engine: Engine) -> Iterator[Hit]:
    model = hub_model(engine)
    if model is not None and engine.has_all_flags and engine.flag("revision") is None:
        says = f"{_name(engine)} without --revision"
        yield Hit(
            at=model, says=says, fix="--revision and the commit of the model's repository", evidence=_name(engine)
        )


@serving_rule(
    "info",
    finds="weights on a volume while the hub can still be asked",
    why="vLLM asks the hub's API at each start even if everything is cached, and fails when it is throttled",
    reference="vllm-project/vllm#24541",
)
def hub_not_offline(engine: Engine) -> Iterator[Hit]:
    entry = engine.env.get("HF_HUB_OFFLINE")
    model = engine.model
    if (
        model is None
        or not model.text.startswith("/")
        or (entry is not None and entry.at("value").text in ("1", "true"))
    ):
        return
    at = entry or engine.container.at("env", "HF_HUB_OFFLINE")
    yield Hit(at=at, says=f"{model.text} is local, but HF_HUB_OFFLINE is not 1", fix='env HF_HUB_OFFLINE: "1"')


@serving_rule(
    "info",
    finds="a compile cache that is lost with the pod",
    why="each replica compiles again at every start: 17 s to 3 min that a volume saves",
    reference="mitchross/talos-argocd-proxmox#1848; vllm-project/vllm#20264",
)
def compile_cache_lost(engine: Engine) -> Iterator[Hit]:
    if engine.runs_on_cpu or engine.is_on("enforce_eager"):
        return
    root = engine.env.get("VLLM_CACHE_ROOT")
    folders = (root.at("value").text,) if root else _COMPILE_CACHES
    if not any(engine.volume_at(folder).exists for folder in folders if folder.startswith("/")):
        fix = "mount a node-local volume and set VLLM_CACHE_ROOT to it; one for each version, model and GPU"
        yield Hit(at=root or engine.container.at("volumeMounts"), says=f"no volume at {folders[0]}", fix=fix)


RULES: tuple[Rule, ...] = (
    read_write_once_shared,
    no_shared_memory,
    download_per_replica,
    model_revision_unpinned,
    hub_not_offline,
    compile_cache_lost,
)
