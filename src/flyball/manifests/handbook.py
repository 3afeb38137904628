"""The README beside the objects: what to install first, and how to roll out without losing a request."""

from flyball.manifests.design import ServiceDesign
from flyball.manifests.drain import drain
from flyball.manifests.rollout import spare_replicas, surge_misleads
from flyball.manifests.start_up import start_up
from flyball.manifests.weights import job_name


def handbook(design: ServiceDesign) -> str:
    """Markdown."""
    return (
        "\n\n".join((_first(design), _apply(design), _revision(design), _version(design), *_key(design), _back(design)))
        + "\n"
    )


def _first(design: ServiceDesign) -> str:
    keda = "2.18 or newer (`scaleDown.tolerance`)" if surge_misleads(design) else "2.17 or newer (`fallback.behavior`)"
    scaler = (
        f"KEDA {keda}"
        if design.spec.scaling.by == "keda"
        else "the Prometheus Adapter, with `prometheus-adapter-values.yaml` and no other owner of"
        " `v1beta1.custom.metrics.k8s.io`"
    )
    parts = [
        f"- {scaler}",
        "- the Prometheus Operator, and a Prometheus that selects the monitors' labels"
        f" ({_labels(design)}) at {design.kubernetes.prometheus}",
        "- a device plugin: the GPU Operator with `gpu-operator-values.yaml`"
        + (", or GKE's own" if design.node_pools == "gke" else ""),
        "- a network plugin that enforces NetworkPolicies",
    ]
    if design.node_pools == "karpenter":
        parts.append("- Karpenter with its interruption queue: without it no pod hears of a reclaim")
    elif design.node_pools in ("gke", "eks"):
        parts.append("- GPU nodes: `node-pools.sh`")
    if design.kubernetes.weights.in_claim:
        storage = design.kubernetes.weights.storage_class or "the default storage class"
        parts.append(f"- {storage} with {design.kubernetes.weights.access_mode}, writable for group 0")
    if design.kubernetes.weights.token_secret:
        secret = design.kubernetes.weights.token_secret
        create = f"kubectl -n {design.namespace} create secret generic {secret} --from-literal=token=hf_..."
        parts.append(f"- the hub's token: `{create}`")
    return f"# {design.name}\n\nThe cluster needs, before these objects:\n\n" + "\n".join(parts)


def _labels(design: ServiceDesign) -> str:
    labels = design.kubernetes.monitoring_labels
    return ", ".join(f"{key}: {value}" for key, value in labels.items()) or "kubernetes.monitoring_labels is empty"


def _apply(design: ServiceDesign) -> str:
    return (
        "## Apply\n\n"
        f"    kubectl apply -k . --server-side\n"
        f"    kubectl -n {design.namespace} rollout status deployment/{design.engine_name}"
        f" --timeout={start_up(design).progress_s}s\n\n"
        "The replicas wait for the Job that fetches the weights, so the order does not matter."
    )


def _revision(design: ServiceDesign) -> str:
    steps = [
        "Set `model.revision` in the spec and render again. The new revision has a folder and a Job of its own"
        f" (now `{job_name(design)}`), so the old replicas keep their files.",
        "Apply the Job alone and wait for it, while the old replicas serve:"
        f" `kubectl apply --server-side -f weights.yaml`, `kubectl -n {design.namespace} wait --for=condition=complete"
        " --timeout=2h job/NEW_NAME`.",
        "Apply the rest. " + _replacing(design),
        "During the rollout both revisions answer to one name. Where answers must not mix, render the new one under"
        " another `name` and `model.served_name`, and move the clients.",
    ]
    if not design.kubernetes.weights.in_claim:
        steps[1] = "Put the new revision where the nodes find it (kubernetes.weights), beside the old one."
    return "## A new model revision\n\n" + _numbered(steps)


def _version(design: ServiceDesign) -> str:
    steps = [
        "Render with `--vllm VERSION` and the new `kubernetes.image`. Every query is checked against the new version's"
        " metrics, every flag against its parser: what it lacks is an error here and not a silent panel later.",
        "During the rollout both versions are scraped. A query is right for both if it renders for both:"
        f" render once with the old version ({design.release.version}) too.",
        "The compile cache has a folder for each version: the first new replica compiles, the others find it done.",
        "Apply. " + _replacing(design),
    ]
    return "## A new engine version\n\n" + _numbered(steps)


def _key(design: ServiceDesign) -> list[str]:
    """Nothing where there is no key."""
    name = design.spec.gateway.api_key_env
    if name is None:
        return []
    return [
        "## A new API key\n\n"
        f"Set {name} to the new key, render and apply: gateways and replicas are replaced. Until the last replica is,"
        " requests that meet one with the other key are answered with 401. Where that must not be, render the service"
        " under another `name` with the new key, and move the clients."
    ]


def _replacing(design: ServiceDesign) -> str:
    leave, times = drain(design, design.scaled_capacity), start_up(design)
    spare = spare_replicas(design)
    if spare:
        how = "One new replica starts beside the old ones on a spare GPU, and one old one leaves when it is ready."
    elif int(design.min_replicas.value) > 1 or design.floor_replicas:
        how = (
            "There is no spare GPU, so one old replica leaves first and its GPU takes the new one: for"
            f" {times.expected_s} s the others carry its load. Do it when traffic is low."
        )
    else:
        how = (
            "There is one replica and no spare GPU: it leaves before the new one starts, and for"
            f" {times.expected_s} s the gateway answers 503. `scaling.min: 2` or one spare GPU avoids it."
        )
    lost = (
        f"No request is lost: a replica that leaves serves for {leave.pre_stop_s} s more, while the gateways forget it,"
        f" then finishes what it has for up to {leave.shutdown_timeout_s} s; what reaches it after that is retried"
        " elsewhere before its first byte."
    )
    return f"{how} {lost} {_misreading(design)}"


def _misreading(design: ServiceDesign) -> str:
    if design.spec.scaling.signal != "in_system":
        return (
            f"The signal ({design.spec.scaling.signal}) can fall while replicas load, so the scale-down window of"
            f" {start_up(design).window_s} s is what keeps them."
        )
    seen = (
        "The autoscaler is not misled: it sees the sum of running and waiting requests, which is the same whichever"
        " replicas hold them, and a replica that loads reports nothing."
    )
    if not surge_misleads(design):
        return seen
    return (
        f"{seen} It does count the one beyond the number; `scaleDown.tolerance: 0` keeps it from ordering one more for"
        " that (Kubernetes 1.35; before, a tenth more stays until the load falls)."
    )


def _back(design: ServiceDesign) -> str:
    return (
        "## Back\n\n"
        f"    kubectl -n {design.namespace} rollout undo deployment/{design.engine_name}\n\n"
        "The old revision's files are still in the volume. A stuck rollout is reported after"
        f" {start_up(design).progress_s} s (progressDeadlineSeconds); the old replicas serve meanwhile."
    )


def _numbered(steps: list[str]) -> str:
    return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, start=1))
