"""Durations and numbers that must fit each other, whatever the design: as laws of the rendered objects."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.errors import UsageError
from flyball.manifests import Because, Manifest, ServiceDesign, concerns
from flyball.manifests.drain import LEAST_TEARDOWN_S
from service_designs import MATRIX, design, objects, of_kind, workload

MACHINES = st.sampled_from(["g6.xlarge", "g2-standard-4", "Standard_NC24ads_A100_v4"])
POOLS = st.sampled_from(["karpenter", "gke", "eks", "none"])


@st.composite
def designs(draw: st.DrawFn) -> ServiceDesign:
    """Any start-up, stream, cloud and number of replicas."""
    most = draw(st.integers(1, 40))
    spec = {
        "kubernetes": {"node_pools": draw(POOLS), "spare_gpus": draw(st.sampled_from([None, 0, 1, 2, 4]))},
        "scaling": {
            "by": draw(st.sampled_from(["keda", "prometheus-adapter"])),
            "signal": draw(st.sampled_from(["in_system", "waiting"])),
        },
    }
    return design(
        spec,
        machine=draw(MACHINES),
        start_s=Because(draw(st.floats(20, 2000)), "any"),
        longest_stream_s=Because(draw(st.integers(5, 1200)), "any"),
        min_replicas=Because(draw(st.integers(1, most)), "any"),
        max_replicas=Because(most, "any"),
        typical_replicas=draw(st.integers(1, most)),
        on_demand_floor=draw(st.none() | st.integers(0, 10)),
        target=Because(float(draw(st.integers(1, 200))), "any"),
        max_num_seqs=draw(st.integers(1, 1024)),
    )


def engines(manifests: tuple[Manifest, ...]) -> list[dict[str, Any]]:
    return [each.plain for each in manifests if each.kind == "Deployment" and each.name.split("-")[1] == "engine"]


def flag(container: dict[str, Any], name: str) -> str:
    found: list[str] = [each for each in container["args"] if each.startswith(f"--{name}=")]
    return found[0].partition("=")[2]


def scaling(manifests: tuple[Manifest, ...]) -> tuple[int, int, dict[str, Any]] | None:
    """Minimum, maximum and behaviour of whatever scales."""
    for each in manifests:
        spec = each.plain.get("spec", {})
        if each.kind == "ScaledObject":
            behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
            return spec["minReplicaCount"], spec["maxReplicaCount"], behavior
        if each.kind == "HorizontalPodAutoscaler":
            return spec["minReplicas"], spec["maxReplicas"], spec["behavior"]
    return None


@given(designs())
def test_a_drain_fits_its_grace_period_and_the_notice(made: ServiceDesign) -> None:
    """Grace holds preStop, --shutdown-timeout and teardown; a spot notice holds them too, or at least the streams."""
    for deployment in engines(workload(made)):
        pod = deployment["spec"]["template"]["spec"]
        container = pod["containers"][0]
        pre_stop = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        timeout = int(flag(container, "shutdown-timeout"))
        grace = pod["terminationGracePeriodSeconds"]
        notice = made.spot_notice_s
        on_spot = deployment["metadata"]["name"] == "chat-engine" and notice is not None

        assert LEAST_TEARDOWN_S <= grace - pre_stop - timeout <= 20
        assert pre_stop >= 5
        assert timeout >= 1
        if on_spot and notice is not None:
            assert pre_stop + timeout < notice
            assert grace <= notice or notice < 30
            cut = any("are cut" in concern.what for concern in concerns(made))
            assert cut == (timeout < made.longest_stream_s.value)
        else:
            assert timeout >= made.longest_stream_s.value


@given(designs())
def test_nothing_gives_up_on_a_replica_that_starts(made: ServiceDesign) -> None:
    """Probe budget, vLLM's own limit and the rollout's deadline outlast a start, the down window one on a new node."""
    manifests = workload(made)
    for deployment in engines(manifests):
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        probe = container["startupProbe"]
        budget = probe["periodSeconds"] * probe["failureThreshold"]
        own = next(each["value"] for each in container["env"] if each["name"] == "VLLM_ENGINE_READY_TIMEOUT_S")

        assert budget >= 3 * made.start_s.value
        assert int(own) == budget
        assert deployment["spec"]["progressDeadlineSeconds"] > budget + made.node_start_s
    found = scaling(manifests)
    if found is not None:
        least, most, behavior = found
        window = behavior["scaleDown"]["stabilizationWindowSeconds"]
        assert 0 <= least < most
        assert window >= min(3600, made.cold_start_s)
        assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0


@given(designs())
def test_the_floor_and_the_rest_are_what_was_planned(made: ServiceDesign) -> None:
    """Replicas on demand and scaled ones add up to the plan's bounds, the adapter's one replica aside."""
    manifests = workload(made)
    fixed = sum(each["spec"].get("replicas", 0) for each in engines(manifests))
    least, most, _ = scaling(manifests) or (0, 0, {})
    lowest, highest = int(made.min_replicas.value), int(made.max_replicas.value)

    assert fixed + most == max(highest, fixed + least)
    assert lowest <= fixed + least <= max(lowest, (made.on_demand_floor or 0) + 1, 1)


@given(designs())
def test_every_pod_has_one_budget_at_most_and_none_where_it_is_alone(made: ServiceDesign) -> None:
    """The API refuses to evict a pod with two budgets; one for a single replica would refuse as well."""
    manifests = workload(made)
    budgets = [
        each.plain["spec"]["selector"]["matchLabels"] for each in manifests if each.kind == "PodDisruptionBudget"
    ]
    for deployment in engines(manifests):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        most = deployment["spec"].get("replicas", made.scaled_max)
        assert sum(selector.items() <= labels.items() for selector in budgets) == (most > 1)


@given(designs())
def test_a_replica_sheds_only_above_what_the_autoscaler_aims_at(made: ServiceDesign) -> None:
    """The queue's cap is above a target on the queue: below it the autoscaler could never act."""
    container = engines(workload(made))[0]["spec"]["template"]["spec"]["containers"][0]
    limit = int(flag(container, "max-num-queued-reqs"))
    assert made.spec.scaling.signal != "waiting" or limit >= 2 * made.target.value


@pytest.mark.parametrize(
    ("spare", "floor", "least", "expected"),
    [
        (0, None, 2, {"maxSurge": 0, "maxUnavailable": 1}),
        (0, None, 1, {"maxSurge": 0, "maxUnavailable": 1}),
        (None, 2, 4, {"maxSurge": 1, "maxUnavailable": 0}),
        (1, None, 1, {"maxSurge": 1, "maxUnavailable": 0}),
        (1, 2, 4, {"maxSurge": 0, "maxUnavailable": 1}),
        (2, 2, 4, {"maxSurge": 1, "maxUnavailable": 0}),
        (None, None, 1, {"maxSurge": 1, "maxUnavailable": 0}),
    ],
)
def test_a_rollout_needs_no_gpu_that_is_not_there(
    spare: int | None, floor: int | None, least: int, expected: dict[str, int]
) -> None:
    """Surge only where a spare GPU is for it; two Deployments roll at once, so one spare is the floor's alone."""
    pools = "karpenter" if spare is None else "none"
    made = design(
        {"kubernetes": {"node_pools": pools, "spare_gpus": spare}},
        on_demand_floor=floor,
        min_replicas=Because(least, "given"),
    )
    strategy = of_kind(objects(made), "Deployment", "chat-engine")["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": expected}


def test_one_node_s_claim_is_refused_for_several_replicas() -> None:
    """ReadWriteOnce attaches to one node; it is refused with the way out, and taken where there is one replica."""
    weights = {"weights": {"storage_class": "gp3", "access_mode": "ReadWriteOnce"}}
    with pytest.raises(UsageError, match="ReadWriteOnce attaches to one node"):
        objects(design({"kubernetes": weights}))
    one = {"min_replicas": Because(1, "given"), "max_replicas": Because(1, "given")}
    assert of_kind(objects(design({"kubernetes": weights}, **one)), "PersistentVolumeClaim", "chat-weights")


@pytest.mark.parametrize("name", ["api_key", "port", "trust_remote_code", "shutdown_timeout", "disable_log_stats"])
def test_flags_with_a_place_of_their_own_are_refused(name: str) -> None:
    """A flag that another key sets, or that undoes what is rendered, is a usage error with the key to use."""
    with pytest.raises(UsageError, match=f"engine.{name}"):
        objects(design({"engine": {name: "x"}}))


def test_the_fetching_job_changes_its_name_with_its_content() -> None:
    """A Job cannot be changed: another revision or image is another Job, and the same one stays the same."""
    jobs = [
        of_kind(objects(made), "Job")["metadata"]["name"]
        for made in (
            MATRIX["plain"],
            design(),
            design({"model": {"revision": "1" * 40}}),
            design({"kubernetes": {"image": "vllm/vllm-openai:v0.32.0"}}),
        )
    ]
    assert jobs[0] == jobs[1]
    assert len(set(jobs)) == 3


def test_the_key_is_in_secrets_only() -> None:
    """With an API key Envoy's configuration is a Secret, the engine reads its own, and nothing else holds it."""
    holders = {each.kind for each in objects(MATRIX["key"]) if "sk-test" in str(each.plain)}
    assert holders == {"Secret"}
    pod = of_kind(objects(MATRIX["key"]), "Deployment", "chat-engine")["spec"]["template"]["spec"]
    assert {"name": "VLLM_API_KEY", "valueFrom": {"secretKeyRef": {"name": "chat-api-key", "key": "key"}}} in pod[
        "containers"
    ][0]["env"]
