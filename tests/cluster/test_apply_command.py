"""`flyball apply` against an API server: what it does, in which order, and that it leaves alone what it must."""

import io
import json
import sys
from pathlib import Path

import pytest

from cluster_verbs import Flyball, kinds_written
from fake_apiserver import FakeApiServer
from fake_apiserver_controllers import deployments, jobs, scale
from flyball.cli.main import run
from flyball.cluster.replicas import HANDOVER
from plain_service import (
    NAMESPACE,
    claim,
    config_map,
    deployment,
    job,
    namespace,
    pod_monitor,
    scaled_object,
    service,
    write,
)


def test_everything_in_its_order(live_server: FakeApiServer, flyball: Flyball, manifests: Path) -> None:
    """The namespace first, weights before engines, the scaler after its target; the second time nothing is sent."""
    first = flyball("apply", "--manifests", manifests, "--yes")

    assert first.code == 0, first.err
    assert kinds_written(live_server) == [
        "Namespace",
        "ConfigMap",
        "PersistentVolumeClaim",
        "Job",
        "Deployment",
        "ScaledObject",
        "PodMonitor",
    ]
    assert f"context test, server {live_server.url}, namespace llm" in first.err
    told = [line for line in first.err.splitlines() if line.startswith(("Job", "Deployment"))]
    assert told.index("Job chat-weights: complete") < told.index("Deployment chat-engine created")
    assert told[-1] == "Deployment chat-engine: 1 of 1 ready"

    version = live_server.store.version
    writes = len(live_server.writes)
    second = flyball("apply", "--manifests", manifests, "--yes")

    assert second.code == 0
    assert "7 unchanged\nno change: all is ready" in second.err
    assert len(live_server.writes) == writes
    assert live_server.store.version == version
    assert flyball("diff", "--manifests", manifests).code == 0


def test_nobody_to_ask(
    server: FakeApiServer, flyball: Flyball, manifests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where standard input is no terminal, changing anything needs --yes."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    for verb in ("apply", "delete"):
        answer = flyball(verb, "--manifests", manifests)
        assert answer.code == 2
        assert "no terminal" in answer.err
        assert "add --yes" in answer.err
    assert server.requests == []


class Terminal(io.StringIO):
    """A standard input at which somebody sits."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("typed", ["y\n", "\n", "", "no\n"])
def test_asking(
    live_server: FakeApiServer, flyball: Flyball, manifests: Path, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    """Context, server, namespace and the changes are shown before the question; only yes is yes."""
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    answer = flyball("apply", "--manifests", manifests)
    is_applied = typed == "y\n"

    assert answer.err.index("context test") < answer.err.index("+ Deployment") < answer.err.index("apply this to test?")
    assert bool(live_server.writes) is is_applied
    assert answer.code == (0 if is_applied else 1)


def test_one_refusal_and_nothing_is_changed(server: FakeApiServer, flyball: Flyball, manifests: Path) -> None:
    """Everything is tried before anything is done; the message is the API server's."""
    server.store.put(namespace())
    server.deny("Deployment", "spec.template.spec.containers[0].image: Required value")

    answer = flyball("apply", "--manifests", manifests, "--yes")

    assert answer.code == 3
    assert "containers[0].image: Required value; nothing was changed" in answer.err
    assert server.writes == []


def test_a_refusal_in_a_new_namespace_takes_the_namespace_back(
    server: FakeApiServer, flyball: Flyball, manifests: Path
) -> None:
    """What goes into a namespace can only be tried when it is there; if it is refused, the namespace goes again."""
    server.deny("Deployment", "no such image")

    answer = flyball("apply", "--manifests", manifests, "--yes")

    assert answer.code == 3
    assert "Namespace llm deleted again" in answer.err
    assert [(request.method, request.path) for request in server.writes] == [
        ("PATCH", "/api/v1/namespaces/llm"),
        ("DELETE", "/api/v1/namespaces/llm"),
    ]


def test_kinds_that_the_cluster_does_not_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], manifests: Path
) -> None:
    """Missing CRDs are named with what to install and nothing changes, unless they are to be left out."""
    with FakeApiServer(custom=False) as server:
        server.store.reactions += [jobs(), deployments()]
        where = ["--kubeconfig", str(server.kubeconfig(tmp_path / "kubeconfig"))]
        assert run(["apply", "--manifests", str(manifests), "--yes", *where]) == 1
        said = capsys.readouterr().err
        assert "the cluster does not know ScaledObject of keda.sh/v1alpha1 (chat-engine)" in said
        assert "install KEDA: helm upgrade --install keda" in said
        assert "install the Prometheus Operator: helm" in said
        assert server.writes == []

        assert run(["apply", "--manifests", str(manifests), "--yes", "--skip-missing", *where]) == 0
        assert capsys.readouterr().err.count("does not know ScaledObject") == 1
        assert "ScaledObject" not in kinds_written(server)
        assert "Deployment" in kinds_written(server)


def test_another_release_of_a_crd(server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """A kind that is served in another version is not told as missing, but as of another release."""
    server.store.put(namespace())
    newer = write(tmp_path / "newer.yaml", [scaled_object("keda.sh/v2")])

    answer = flyball("apply", "--manifests", newer, "--yes")

    assert answer.code == 1
    assert "ScaledObject of keda.sh/v2 (chat-engine): it has keda.sh/v1alpha1" in answer.err
    assert "install a release of KEDA that serves keda.sh/v2" in answer.err


def test_fields_of_others(live_server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """A conflict shows manager and field and changes nothing; --force-conflicts takes it."""
    live_server.store.put(namespace())
    live_server.store.put(config_map(a="theirs"), manager="kubectl-edit")
    ours = write(tmp_path / "ours.yaml", [config_map(a="ours")])

    refused = flyball("apply", "--manifests", ours, "--yes")

    assert refused.code == 1
    assert '    .data.a: "theirs" -> "ours"\n    .data.a is owned by kubectl-edit' in refused.err
    assert live_server.writes == []
    assert flyball("apply", "--manifests", ours, "--yes", "--force-conflicts").code == 0
    live = live_server.store.get("ConfigMap", "chat-gateway", NAMESPACE)
    assert live is not None
    assert live["data"] == {"a": "ours"}


def replicas(server: FakeApiServer) -> int:
    live = server.store.get("Deployment", "chat-engine", NAMESPACE)
    assert live is not None
    return int(live["spec"]["replicas"])


def test_the_replica_count_is_never_taken_from_an_autoscaler(
    live_server: FakeApiServer, flyball: Flyball, tmp_path: Path
) -> None:
    """Even with --force-conflicts, and it is said."""
    flyball("apply", "--manifests", write(tmp_path / "a.yaml", service()), "--yes")
    scale(live_server.store, "chat-engine", NAMESPACE, 5)
    fixed = write(tmp_path / "b.yaml", [deployment(image="vllm:2", replicas=1), scaled_object()])

    answer = flyball("apply", "--manifests", fixed, "--yes", "--force-conflicts")

    assert answer.code == 0, answer.err
    assert ".spec.replicas stays at 5: an autoscaler owns it" in answer.err
    assert replicas(live_server) == 5


def test_moving_to_an_autoscaler(live_server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """Leaving out a count that only we owned would reset it to 1; it is handed over, until the autoscaler writes."""
    fixed = [namespace(), deployment(replicas=4)]
    assert flyball("apply", "--manifests", write(tmp_path / "a.yaml", fixed), "--yes").code == 0
    assert replicas(live_server) == 4
    scaled = write(tmp_path / "b.yaml", [namespace(), deployment(), scaled_object()])

    answer = flyball("apply", "--manifests", scaled, "--yes")

    assert answer.code == 0, answer.err
    assert replicas(live_server) == 4
    live = live_server.store.get("Deployment", "chat-engine", NAMESPACE)
    assert live is not None
    assert HANDOVER in [entry["manager"] for entry in live["metadata"]["managedFields"]]
    assert flyball("diff", "--manifests", scaled).code == 0
    scale(live_server.store, "chat-engine", NAMESPACE, 2)
    assert flyball("diff", "--manifests", scaled).code == 0


def test_a_job_that_changes_is_made_anew(live_server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """New weights are a new download: the Job is replaced, the engines wait for it."""
    flyball("apply", "--manifests", write(tmp_path / "a.yaml", [namespace(), claim(), job()]), "--yes")
    changed = write(tmp_path / "b.yaml", [namespace(), claim(), job("fetch:2"), deployment()])

    answer = flyball("apply", "--manifests", changed, "--yes")

    assert answer.code == 0, answer.err
    assert "! Job chat-weights\n    a Job's template cannot change" in answer.err
    assert answer.err.index("Job chat-weights replaced") < answer.err.index("Job chat-weights: complete")
    assert answer.err.index("Job chat-weights: complete") < answer.err.index("Deployment chat-engine created")


def test_a_claim_does_not_shrink(live_server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """A smaller model asks for a smaller volume, which the API server would refuse, and with it the whole apply."""
    flyball("apply", "--manifests", write(tmp_path / "a.yaml", [namespace(), claim()]), "--yes")
    smaller = claim()
    smaller["spec"]["resources"]["requests"]["storage"] = "20Gi"

    answer = flyball("apply", "--manifests", write(tmp_path / "b.yaml", [namespace(), smaller]), "--yes")

    assert answer.code == 0, answer.err
    assert ".spec.resources.requests.storage stays at 40Gi, more than the 20Gi of the spec" in answer.err
    live = live_server.store.get("PersistentVolumeClaim", "chat-weights", NAMESPACE)
    assert live is not None
    assert live["spec"]["resources"]["requests"]["storage"] == "40Gi"
    larger = claim()
    larger["spec"]["resources"]["requests"]["storage"] = "60Gi"
    assert flyball("apply", "--manifests", write(tmp_path / "c.yaml", [namespace(), larger]), "--yes").code == 0
    live = live_server.store.get("PersistentVolumeClaim", "chat-weights", NAMESPACE)
    assert live is not None
    assert live["spec"]["resources"]["requests"]["storage"] == "60Gi"


def test_what_the_spec_has_no_more(live_server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """It is mentioned, and deleted only with --prune: ours alone, and never the weights."""
    flyball("apply", "--manifests", write(tmp_path / "a.yaml", service()), "--yes")
    copied = {**config_map(a="1"), "metadata": {**config_map()["metadata"], "name": "copied"}}
    live_server.store.put(copied, manager="kubectl")
    smaller = write(tmp_path / "b.yaml", [namespace(), deployment(), scaled_object(), pod_monitor()])

    told = flyball("apply", "--manifests", smaller, "--yes")
    assert told.code == 0
    assert "ConfigMap chat-gateway: the spec has it no more; --prune deletes it" in told.err
    assert "PersistentVolumeClaim" not in told.err
    assert "copied" not in told.err

    differs = flyball("diff", "--manifests", smaller, "--prune", "-o", "json")
    assert differs.code == 1
    actions = {(each["kind"], each["action"]) for each in json.loads(differs.out)["objects"]}
    assert {("ConfigMap", "delete"), ("Job", "delete"), ("Deployment", "unchanged")} <= actions

    assert flyball("apply", "--manifests", smaller, "--yes", "--prune").code == 0
    assert live_server.store.get("ConfigMap", "chat-gateway", NAMESPACE) is None
    assert live_server.store.get("ConfigMap", "copied", NAMESPACE) is not None
    assert live_server.store.get("PersistentVolumeClaim", "chat-weights", NAMESPACE) is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "a spec or manifests are needed"),
        (["a.yaml", "--manifests", "b.yaml"], "and not both"),
        (["--manifests", "nowhere.yaml"], "no such file"),
        (["--manifests", "empty.yaml"], "no Kubernetes object in it"),
        (["--manifests", "broken.yaml"], "is not YAML"),
        (["--manifests", "twice.yaml"], "is there twice"),
        (["--manifests", "empty.yaml", "--timeout", "5"], "--timeout"),
        (["--manifests", "empty.yaml", "--context", "prod"], "no Kubernetes object"),
        (["--manifests", "twice.yaml", "--context", "prod"], "'prod' is not in kubeconfig"),
    ],
)
def test_wrong_usage(
    flyball: Flyball, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    """Exit code 2, with what is wrong."""
    monkeypatch.chdir(tmp_path)
    Path("empty.yaml").write_text("replicaCount: 3\n")
    Path("broken.yaml").write_text("{")
    write(Path("twice.yaml"), [namespace(), config_map(a="1"), config_map(a="2")])

    answer = flyball("apply", *arguments, "--yes")

    assert answer.code == 2
    assert words in answer.err


def test_a_spec_that_no_plan_meets(server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """An infeasible plan is shown with its numbers, exit code 1, and the API server is never asked."""
    spec = tmp_path / "impossible.yaml"
    spec.write_text(
        "name: chat\nmodel: {id: meta-llama/Llama-3.1-8B-Instruct}\nslo: {ttft: {p95: 1ms}}\n"
        "hardware: {cloud: aws, accelerators: [L4]}\n"
    )
    answer = flyball("apply", spec, "--yes")

    assert answer.code == 1
    assert answer.err
    assert server.requests == []
