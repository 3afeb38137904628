"""`flyball diff`: what an apply would change, and nothing that is not ours."""

import json
from pathlib import Path

from cluster_verbs import Flyball
from fake_apiserver import FakeApiServer
from fake_apiserver_controllers import scale
from plain_service import NAMESPACE, body, config_map, deployment, namespace, scaled_object, service, write


def test_an_empty_cluster(server: FakeApiServer, flyball: Flyball, manifests: Path) -> None:
    """Everything is new; that nothing could be tried without its namespace is said, and nothing is written."""
    answer = flyball("diff", "--manifests", manifests)

    assert answer.code == 1
    lines = answer.out.splitlines()
    assert lines[0].startswith("the namespace does not exist yet")
    assert lines[1:3] == ["+ Namespace llm", "+ ConfigMap chat-gateway"]
    assert "7 to create" in answer.err
    assert server.writes == []


def test_only_owned_fields(live_server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """What the autoscaler, a controller and a person changed beside ours is no difference."""
    applied = write(tmp_path / "a.yaml", [namespace(), deployment(), config_map(a="1")])
    flyball("apply", "--manifests", applied, "--yes")
    scale(live_server.store, "chat-engine", NAMESPACE, 7)
    live_server.store.edit(
        "Deployment", "chat-engine", NAMESPACE, manager="kubectl", metadata={"annotations": {"note": "mine"}}
    )
    live_server.store.edit("ConfigMap", "chat-gateway", NAMESPACE, manager="kubectl", data={"b": "2"})

    answer = flyball("diff", "--manifests", applied)

    assert (answer.code, answer.out) == (0, "")


def test_a_change_of_ours_by_somebody_else(live_server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """Drift is shown as the change back, with who has the field now."""
    applied = write(tmp_path / "a.yaml", [namespace(), deployment()])
    flyball("apply", "--manifests", applied, "--yes")
    live = live_server.store.get("Deployment", "chat-engine", NAMESPACE)
    assert live is not None
    live["spec"]["template"]["spec"]["containers"][0]["image"] = "vllm:latest"
    live_server.store.put(live, manager="kubectl-set")

    answer = flyball("diff", "--manifests", applied)

    image = '.spec.template.spec.containers[name="vllm"].image'
    assert answer.code == 1
    assert f'    {image}: "vllm:latest" -> "vllm:1"\n    {image} is owned by kubectl-set\n' in answer.out


def test_texts_are_compared_line_by_line(live_server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """Of a long file in a ConfigMap only the lines that differ are shown."""
    text = "".join(f"line {number}\n" for number in range(50))
    flyball("apply", "--manifests", write(tmp_path / "a.yaml", [namespace(), config_map(envoy=text)]), "--yes")
    changed = text.replace("line 30\n", "line thirty\n")

    answer = flyball("diff", "--manifests", write(tmp_path / "b.yaml", [namespace(), config_map(envoy=changed)]))

    assert "      -line 30\n      +line thirty\n" in answer.out
    assert "line 40" not in answer.out


def test_of_arguments_only_those_that_differ(live_server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """An engine has dozens of flags; the one that changes is what a reviewer looks for."""
    before, after = deployment(), deployment()
    flags = [f"--flag-{number}=1" for number in range(30)]
    before["spec"]["template"]["spec"]["containers"][0]["args"] = [*flags, "--max-num-seqs=64"]
    after["spec"]["template"]["spec"]["containers"][0]["args"] = [*flags, "--max-num-seqs=72"]
    flyball("apply", "--manifests", write(tmp_path / "a.yaml", [namespace(), before]), "--yes")

    out = flyball("diff", "--manifests", write(tmp_path / "b.yaml", [namespace(), after])).out

    assert out == (
        '~ Deployment chat-engine\n    .spec.template.spec.containers[name="vllm"].args:\n'
        '  - "--max-num-seqs=64"\n  + "--max-num-seqs=72"\n'
    )


def test_of_a_list_that_is_owned_as_a_whole_only_what_differs(
    live_server: FakeApiServer, flyball: Flyball, tmp_path: Path
) -> None:
    """The rules of a group are one value to the API server, and dozens to a reader."""
    rules: list[dict[str, object]] = [
        {"alert": f"A{number}", "expr": f"up == {number}", "for": "5m"} for number in range(30)
    ]
    before = body(
        "monitoring.coreos.com/v1", "PrometheusRule", "chat", spec={"groups": [{"name": "g", "rules": rules}]}
    )
    flyball("apply", "--manifests", write(tmp_path / "a.yaml", [namespace(), before]), "--yes")
    rules[17] = {"alert": "A17", "expr": "up == 71", "labels": {"severity": "page"}}
    after = body("monitoring.coreos.com/v1", "PrometheusRule", "chat", spec={"groups": [{"name": "g", "rules": rules}]})

    out = flyball("diff", "--manifests", write(tmp_path / "b.yaml", [namespace(), after])).out

    assert out.splitlines() == [
        "~ PrometheusRule chat",
        '    .spec.groups[name="g"].rules[17].expr: "up == 17" -> "up == 71"',
        '  - .spec.groups[name="g"].rules[17].for: "5m"',
        '  + .spec.groups[name="g"].rules[17].labels: {"severity": "page"}',
    ]


def test_a_secret_is_not_printed(live_server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """Neither as text nor as JSON."""
    old, new = (body("v1", "Secret", "key", stringData={"key": key}) for key in ("hunter2", "swordfish"))
    flyball("apply", "--manifests", write(tmp_path / "a.yaml", [namespace(), old]), "--yes")
    for output in ("text", "json"):
        answer = flyball("diff", "--manifests", write(tmp_path / "b.yaml", [namespace(), new]), "-o", output)
        assert answer.code == 1
        assert "(secret)" in answer.out
        assert "hunter2" not in answer.out + answer.err
        assert "swordfish" not in answer.out + answer.err


def test_a_changed_secret_is_a_change(live_server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """Written as stringData, which the API server keeps as data: a new key must not look like the old one."""
    old, new = (body("v1", "Secret", "key", stringData={"key": key}) for key in ("hunter2", "swordfish"))
    flyball("apply", "--manifests", write(tmp_path / "a.yaml", [namespace(), old]), "--yes")
    changed = write(tmp_path / "b.yaml", [namespace(), new])

    assert flyball("diff", "--manifests", changed).code == 1
    assert flyball("apply", "--manifests", changed, "--yes").code == 0

    live = live_server.store.get("Secret", "key", NAMESPACE)
    assert live is not None
    assert (live["data"], "stringData" in live) == ({"key": "c3dvcmRmaXNo"}, False)
    assert flyball("diff", "--manifests", changed).code == 0


def test_as_json(live_server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """Fields with old and new; a value that is not there has no key."""
    flyball("apply", "--manifests", write(tmp_path / "a.yaml", [namespace(), config_map(a="1", b="1")]), "--yes")
    changed = write(tmp_path / "b.yaml", [namespace(), config_map(a="2", c="1"), scaled_object("keda.sh/v9")])

    answer = flyball("diff", "--manifests", changed, "-o", "json")
    document = json.loads(answer.out)

    assert answer.code == 1
    assert document["differs"]
    assert document["objects"][1]["fields"] == [
        {"field": ".data.a", "old": "1", "new": "2"},
        {"field": ".data.b", "old": "1"},
        {"field": ".data.c", "new": "1"},
    ]
    assert document["missing_kinds"][0]["served"] == ["keda.sh/v1alpha1"]


def test_an_object_that_is_ours_in_all_but_name(server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """What kubectl made just so would be adopted: a difference without a changed value."""
    server.store.put(namespace())
    server.store.put(config_map(a="1"))

    answer = flyball("diff", "--manifests", write(tmp_path / "a.yaml", [config_map(a="1")]))

    assert answer.code == 1
    assert answer.out.startswith("= ConfigMap chat-gateway\n    3 more fields would be flyball's")


def test_who_may_not_see_the_whole_cluster(live_server: FakeApiServer, flyball: Flyball, manifests: Path) -> None:
    """Without the permission to list node pools, what is obsolete among them is unknown, and all else goes on."""
    live_server.forbid("list", "nodepools.karpenter.sh")
    assert flyball("apply", "--manifests", manifests, "--yes").code == 0

    answer = flyball("diff", "--manifests", manifests)

    assert answer.code == 0
    assert "nodepools.karpenter.sh: no permission to list them" in answer.out


def test_a_folder(live_server: FakeApiServer, flyball: Flyball, tmp_path: Path) -> None:
    """Every file of a rendered folder, but the kustomization and Helm values."""
    folder = tmp_path / "manifests"
    folder.mkdir()
    write(folder / "all.yaml", service())
    (folder / "kustomization.yaml").write_text("kind: Kustomization\nresources: [all.yaml]\n")
    (folder / "values.yaml").write_text("replicas: 3\n")

    assert flyball("apply", "--manifests", folder, "--yes").code == 0
    assert flyball("diff", "--manifests", folder).code == 0


def test_an_api_server_that_goes_away(server: FakeApiServer, flyball: Flyball, manifests: Path) -> None:
    """Exit code 3, with the server."""
    server.die_after(2)
    answer = flyball("diff", "--manifests", manifests)

    assert answer.code == 3
    assert f"the connection broke: {server.url}" in answer.err
