"""`flyball apply` that does not come to its end: how far it got, why it waits, and that it goes on from there."""

import _thread
from pathlib import Path

import pytest

from cluster_verbs import Flyball, kinds_written
from fake_apiserver import FakeApiServer
from fake_apiserver_controllers import deployments, jobs, keda, volumes
from flyball.cli.main import run
from plain_service import NAMESPACE, deployment, namespace, service, write


def test_an_api_server_that_goes_away_half_way(live_server: FakeApiServer, flyball: Flyball, manifests: Path) -> None:
    """It says how far it got; running it again goes on from there, and nothing is half-owned."""
    flyball("apply", "--manifests", manifests, "--yes", "--no-wait")
    total = len(live_server.requests)
    writes = len(live_server.writes)
    with FakeApiServer() as other:
        where = ["--kubeconfig", str(other.kubeconfig(manifests.parent / "other"))]
        other.die_after(total - 3)
        arguments = ["apply", "--manifests", str(manifests), "--yes", "--no-wait", *where]
        assert run(arguments) == 3
        assert 0 < len(other.writes) < writes

        other.revive()
        assert run(arguments) == 0
        done = [(body["kind"], body["metadata"]["name"]) for body in service()]
        for kind, name in done:
            live = other.store.get(kind, name, "" if kind == "Namespace" else NAMESPACE)
            assert live is not None
            assert [entry["manager"] for entry in live["metadata"]["managedFields"]] == ["flyball"]


def test_how_far_it_got(live_server: FakeApiServer, flyball: Flyball, manifests: Path) -> None:
    """The message of a server that is lost half-way lists what is made."""
    live_server.store.put(namespace())

    def die_at_the_job(store: object, event: str, body: dict[str, object]) -> None:
        if body["kind"] == "Job":
            live_server.die_after(0)

    live_server.store.reactions.insert(0, die_at_the_job)
    answer = flyball("apply", "--manifests", manifests, "--yes")

    assert answer.code == 3
    assert "4 of 7 changes are made: Namespace llm, ConfigMap chat-gateway" in answer.err
    assert "run it again to go on" in answer.err


def test_a_permission_that_is_missing(server: FakeApiServer, flyball: Flyball, manifests: Path) -> None:
    """It is found in the dry run: verb, resource and namespace are named and nothing is changed."""
    server.store.put(namespace())
    server.forbid("patch", "deployments.apps")

    answer = flyball("apply", "--manifests", manifests, "--yes")

    assert answer.code == 3
    assert "no permission to patch deployments.apps chat-engine in namespace llm" in answer.err
    assert "ask for the verb patch on deployments.apps in namespace llm" in answer.err
    assert server.writes == []


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ({"pending": "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."}, "no free GPU: add GPU nodes"),
        ({"waiting": "ImagePullBackOff"}, "vllm: ImagePullBackOff: the kubelet says ImagePullBackOff (check the image"),
    ],
)
def test_a_wait_that_ends_says_why(
    server: FakeApiServer, flyball: Flyball, tmp_path: Path, trouble: dict[str, str], words: str
) -> None:
    """Pods that do not start are explained while it waits; a second apply waits again, and changes nothing."""
    server.store.reactions.append(deployments(**trouble))  # type: ignore[arg-type]
    objects = write(tmp_path / "a.yaml", [namespace(), deployment()])

    answer = flyball("apply", "--manifests", objects, "--yes", "--timeout", "10ms")

    assert answer.code == 1
    assert words in answer.err
    assert "Deployment chat-engine is not ready: 0 of 1 ready" in answer.err


def test_weights_that_cannot_be_fetched(server: FakeApiServer, flyball: Flyball, manifests: Path) -> None:
    """The engines are not started without them; the Job's own words are shown."""
    server.store.reactions += [volumes(), jobs(failure="Job has reached the specified backoff limit"), keda()]

    answer = flyball("apply", "--manifests", manifests, "--yes")

    assert answer.code == 1
    assert "Job chat-weights is not ready: BackoffLimitExceeded: Job has reached the specified backoff" in answer.err
    assert "not applied yet: Deployment chat-engine, ScaledObject chat-engine, PodMonitor chat-engine" in answer.err
    assert "Deployment" not in kinds_written(server)


def test_interrupted(live_server: FakeApiServer, flyball: Flyball, manifests: Path) -> None:
    """Ctrl-C says how far it got, and the next run goes on."""
    live_server.store.steps.insert(0, _thread.interrupt_main)
    answer = flyball("apply", "--manifests", manifests, "--yes")

    assert answer.code == 130
    assert "interrupted after 3 of 6 changes (ConfigMap chat-gateway, PersistentVolumeClaim" in answer.err
    assert flyball("apply", "--manifests", manifests, "--yes").code == 0
