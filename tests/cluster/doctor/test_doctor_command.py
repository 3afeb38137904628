"""`flyball doctor` over HTTP: against an API server and a Prometheus that are whole, broken, silent or shut."""

import json
from pathlib import Path
from typing import Any

import pytest

from fake_apiserver import FakeApiServer
from fake_apiserver_store import RefusalError
from fake_prometheus import QUERY, FakePrometheus
from flyball.cli.main import run
from flyball.cluster.doctor.chain import CHAIN
from sound_cluster import DATA

PROXY = "/api/v1/namespaces/monitoring/services/prometheus-operated:9090/proxy"
Captured = pytest.CaptureFixture[str]


def states(capsys: Captured) -> dict[str, str]:
    """The mark of each link, of what was printed with `-o json`."""
    return {link["id"]: link["state"] for link in _document(capsys)["links"]}


def _document(capsys: Captured) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_sound_cluster(arguments: list[str], cluster: FakeApiServer, capsys: Captured) -> None:
    """On a sound cluster every link is ok, the exit code is 0, and nothing but reads and access reviews was sent."""
    assert run(arguments) == 0

    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert [line.split()[:2] for line in lines[: len(CHAIN)]] == [["ok", link.id] for link in CHAIN]
    assert lines[-1] == "sound"
    assert "chat in namespace llm: asking context prod" in printed.err
    assert cluster.writes == []


def test_json_holds_every_link_and_finding(arguments: list[str], cluster: FakeApiServer, capsys: Captured) -> None:
    """`-o json` has the links in order, with what was asked, what came back and what to do."""
    cluster.store.delete("APIService", "v1beta1.external.metrics.k8s.io")

    assert run([*arguments, "-o", "json"]) == 1

    document = _document(capsys)
    assert document["first_broken"] == "metrics-api"
    assert document["context"] == "prod"
    assert [link["id"] for link in document["links"]] == [link.id for link in CHAIN]
    link = next(each for each in document["links"] if each["id"] == "metrics-api")
    assert link["symptoms"] == [
        {
            "severity": "error",
            "place": "APIService v1beta1.external.metrics.k8s.io",
            "asked": "who serves it",
            "answered": "not registered: the HPA has nowhere to ask",
            "fix": "install KEDA",
        }
    ]


def test_first_broken_link_is_named(arguments: list[str], cluster: FakeApiServer, capsys: Captured) -> None:
    """A taint that no plugin tolerates is found as the cause, and what hangs on it is not reached."""
    for name in ("gpu-1", "gpu-2"):
        node = cluster.store.get("Node", name)
        assert node is not None
        node["spec"]["taints"] = [{"key": "gpu-node", "value": "true", "effect": "NoSchedule"}]
        del node["status"]["allocatable"]["nvidia.com/gpu"]
        cluster.store.put(node)

    assert run(arguments) == 1

    out = capsys.readouterr().out
    assert "first broken link: gpus" in out
    assert "the taint gpu-node=true:NoSchedule keeps DaemonSet gpu-operator/" in out
    assert "add gpu-node to the GPU Operator's daemonsets.tolerations" in out
    assert "not reached  capacity       needs placement" in out


def test_two_writers(arguments: list[str], cluster: FakeApiServer, capsys: Captured) -> None:
    """A GitOps controller that applies `replicas` is found by the API server's own book of field owners."""
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "chat-engine", "namespace": "llm"}}
    cluster.store.apply({**body, "spec": {"replicas": 1}}, manager="argocd-controller", force=True)

    assert run(arguments) == 1

    out = capsys.readouterr().out
    assert "first broken link: writers" in out
    assert "also argocd-controller, Apply" in out


def test_denied_kinds_hide_their_links_alone(arguments: list[str], cluster: FakeApiServer, capsys: Captured) -> None:
    """A user who may see one namespace only learns what can be learned there, and which links stay in the dark."""
    for resource in ("nodes", "apiservices.apiregistration.k8s.io", "storageclasses.storage.k8s.io", "daemonsets.apps"):
        cluster.forbid("list", resource)
    cluster.forbid("list", "pods", "")

    assert run([*arguments, "-o", "json"]) == 1

    marks = states(capsys)
    dark = {"gpus", "driver", "placement", "capacity", "storage", "metrics-api"}
    behind = {"scaled-object", "served-metric", "autoscaler"}
    assert {each for each, mark in marks.items() if mark == "not reached"} == dark | behind
    assert marks["permissions"] == "warning"
    assert marks["pods"] == marks["query"] == "ok"


def test_denial_that_no_review_told(arguments: list[str], cluster: FakeApiServer, capsys: Captured) -> None:
    """Where access reviews are refused, trying tells: a 403 of the list itself is a fact as well."""
    cluster.forbid("create", "selfsubjectaccessreviews.authorization.k8s.io")
    cluster.forbid("list", "resourcequotas")

    assert run([*arguments, "-o", "json"]) == 1

    marks = states(capsys)
    assert {each for each, mark in marks.items() if mark != "ok"} == {"quota"}


def test_server_that_dies_half_way(arguments: list[str], cluster: FakeApiServer, capsys: Captured) -> None:
    """Wherever the API server stops answering, what it said before stands, the rest is not reached; the code is 3."""
    assert run([*arguments, "-o", "json"]) == 0
    sound = states(capsys)
    requests = len(cluster.requests)
    answered = []
    for survived in range(1, requests, requests // 7):
        cluster.die_after(survived)
        assert run([*arguments, "-o", "json"]) == 3
        marks = states(capsys)
        assert marks["api"] == "ok"
        assert marks["answers"] == "broken"
        changed = {each for each, mark in marks.items() if mark not in (sound[each], "not reached")}
        assert changed == {"answers"}
        answered.append(sum(mark == "ok" for mark in marks.values()))
        cluster.revive()
    assert answered == sorted(answered)
    assert answered[0] < 5 < answered[-1]


def test_server_that_is_not_there(tmp_path: Path, capsys: Captured) -> None:
    """Nothing listens: the first link is broken, nothing else is reached, and the code is 3."""
    with FakeApiServer() as server:
        kubeconfig = server.kubeconfig(tmp_path / "kubeconfig")

    assert run(["doctor", "--manifests", str(DATA / "rendered.yaml"), "--kubeconfig", str(kubeconfig)]) == 3

    out = capsys.readouterr().out
    assert "first broken link: api" in out
    assert "cannot reach the API server" in out
    assert out.count("not reached") == len(CHAIN) - 1


def test_credentials_that_have_expired(cluster: FakeApiServer, tmp_path: Path, capsys: Captured) -> None:
    """A 401 is the API server's failure to answer us, with the way out."""
    kubeconfig = cluster.kubeconfig(tmp_path / "old", token="expired")

    assert run(["doctor", "--manifests", str(DATA / "rendered.yaml"), "--kubeconfig", str(kubeconfig)]) == 3

    assert "does not know the kubeconfig's user (401)" in capsys.readouterr().out


def test_no_kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    """Without a cluster it is wrong usage: one line what, one line what to do, code 2."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)

    assert run(["doctor", "--manifests", str(DATA / "rendered.yaml")]) == 2

    err = capsys.readouterr().err.splitlines()
    assert err[0].startswith("flyball: no kubeconfig")
    assert len(err) == 2


def test_prometheus_service_without_endpoints(arguments: list[str], cluster: FakeApiServer, capsys: Captured) -> None:
    """The proxy's refusal is the finding; the links that need Prometheus are not reached, the others are."""
    message = 'no endpoints available for service "prometheus-operated:9090"'
    cluster.raw[f"{PROXY}{QUERY}"] = RefusalError(503, "ServiceUnavailable", message)

    assert run([*arguments, "-o", "json"]) == 1

    document = _document(capsys)
    assert document["first_broken"] == "prometheus"
    marks = {link["id"]: link["state"] for link in document["links"]}
    assert marks["pods"] == marks["metrics-api"] == "ok"
    assert marks["scraped"] == marks["dcgm"] == "not reached"
    answered = next(link for link in document["links"] if link["id"] == "prometheus")["symptoms"][0]
    assert message in answered["answered"]
    assert "--prometheus URL" in answered["fix"]


def test_prometheus_at_another_address(arguments: list[str], cluster: FakeApiServer, capsys: Captured) -> None:
    """A Service that is not there is named together with where the cluster does have a Prometheus."""
    del cluster.raw[f"{PROXY}{QUERY}"]
    cluster.store.delete("Service", "prometheus-operated", "monitoring")
    server = cluster.store.delete("Prometheus", "kps", "monitoring")
    assert server is not None
    cluster.store.put({**server, "metadata": {"name": "kps", "namespace": "keda"}})

    assert run(arguments) == 1

    out = capsys.readouterr().out
    assert "answered  no Service prometheus-operated in namespace monitoring" in out
    assert "Prometheus keda/kps is at http://prometheus-operated.keda.svc:9090" in out


def test_prometheus_under_another_path(arguments: list[str], cluster: FakeApiServer, capsys: Captured) -> None:
    """The Service is there, and what is behind it has no such path."""
    del cluster.raw[f"{PROXY}{QUERY}"]

    assert run(arguments) == 1

    assert "answered  404 for /api/v1/query" in capsys.readouterr().out


def test_prometheus_by_url(
    arguments: list[str], cluster: FakeApiServer, prometheus: FakePrometheus, capsys: Captured
) -> None:
    """`--prometheus URL` goes around the API server's proxy, which then need not work."""
    del cluster.raw[f"{PROXY}{QUERY}"]

    with prometheus:
        assert run([*arguments, "--prometheus", prometheus.url]) == 0

    assert f"{prometheus.url} answers" in capsys.readouterr().out
    assert len(prometheus.queries) == len(set(prometheus.queries))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1:9", "no answer from http://127.0.0.1:9"),
        ("not a url", "no answer from not a url"),
    ],
)
def test_prometheus_url_that_is_wrong(arguments: list[str], url: str, says: str, capsys: Captured) -> None:
    """A URL at which nothing answers breaks the link with what was tried."""
    assert run([*arguments, "--prometheus", url]) == 1

    out = capsys.readouterr().out
    assert "first broken link: prometheus" in out
    assert says in out


def test_query_that_prometheus_refuses(arguments: list[str], prometheus: FakePrometheus, capsys: Captured) -> None:
    """Prometheus' own words about a query that it cannot parse are the finding."""
    query = next(each for each in prometheus.answers if each.startswith("sum("))
    prometheus.answers = {**prometheus.answers, query: _error("1:5: parse error: unclosed left parenthesis")}

    assert run(arguments) == 1

    out = capsys.readouterr().out
    assert "first broken link: query" in out
    assert "unclosed left parenthesis" in out


def _error(text: str) -> Any:
    from flyball.cluster.doctor.facts import Answer

    return Answer(error=text)


def test_metric_that_is_not_served(arguments: list[str], cluster: FakeApiServer, capsys: Captured) -> None:
    """The very request of the HPA is made, and what the metrics API says to it is shown."""
    path = next(path for path in cluster.raw if path.startswith("/apis/external"))
    cluster.raw[path] = RefusalError(500, "InternalError", "unable to fetch metrics: dial tcp: i/o timeout")

    assert run(arguments) == 1

    out = capsys.readouterr().out
    assert "first broken link: served-metric" in out
    assert "i/o timeout" in out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: ConfigMap\nmetadata: {name: a}\n", "no Deployment with GPUs"),
        ("a: [", "is not YAML"),
        ("a: 1\n", "no Kubernetes object in it"),
    ],
)
def test_manifests_without_an_engine(tmp_path: Path, text: str, says: str, capsys: Captured) -> None:
    """A file that holds no engine is wrong usage."""
    (tmp_path / "objects.yaml").write_text(text)

    assert run(["doctor", "--manifests", str(tmp_path / "objects.yaml")]) == 2

    assert says in capsys.readouterr().err


def test_nothing_to_compare_with(capsys: Captured) -> None:
    """Neither a spec nor manifests is wrong usage."""
    assert run(["doctor"]) == 2

    assert "a spec or manifests are needed" in capsys.readouterr().err
